"""How a child is started, watched and ended."""
