"""How a child is started, watched and ended."""

LAUNCHERS = ("auto", "spawn", "fork")
