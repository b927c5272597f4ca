"""Parts of the comparison with other solvers, tests/benchmarks/peers.py."""
