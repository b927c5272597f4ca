"""Peers of `tests.benchmarks.recurrent` that need a Python of their own."""
