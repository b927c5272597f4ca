"""Direct solvers behind one interface: block-tridiagonal with a border, multifrontal, distributed."""
