"""Parts of tests/benchmarks/ladder.py."""
