"""Parts of `tests.benchmarks.continuous_depth`."""
