"""Compiled code: the C sources, equations turned into C, the compiler and its cache."""
