"""A registry of handlers of its own for a test, in the process of the tests (docs/registry.md)."""
