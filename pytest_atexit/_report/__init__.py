"""What all programs of a session did, as plain data, and the ways to show it."""
