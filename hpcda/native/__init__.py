"""Compiled code: the C sources, C code generated from equations, the compiler call and its cache."""
