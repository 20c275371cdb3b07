"""What recording costs, side by side with plain runs: `python -m benchmarks`."""
