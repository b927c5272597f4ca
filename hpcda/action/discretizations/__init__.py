"""Discretizations, one per module; each module defines ``SCHEME`` (see `hpcda.action.scheme`)."""

from hpcda.action.scheme import Scheme
from hpcda.registry import Registry

SCHEMES: Registry[Scheme] = Registry("discretization", "action.discretization", "SCHEME", __name__, Scheme)


def default(kind: str) -> str:
    """Name of the discretization that "auto" stands for, of models of a kind ("flow" or "map")."""
    return next(name for name, scheme in SCHEMES.items() if scheme.kind == kind)


__all__ = ["SCHEMES", "Scheme", "default"]
