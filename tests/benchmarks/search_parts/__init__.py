"""Parts of the benchmark of the search, tests/benchmarks/search.py."""
