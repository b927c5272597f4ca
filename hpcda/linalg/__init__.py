"""Eliminations behind one interface: blocks of times with a border, a tree of fronts, subtrees over ranks."""
