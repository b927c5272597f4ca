"""Starting strategies, one per module; each module defines ``WAY`` (see `hpcda.search.way`)."""

from hpcda.registry import Registry
from hpcda.search.way import Way

WAYS: Registry[Way] = Registry("way", "ensemble.way", "WAY", __name__, Way)


def at_once() -> Way:
    """The way that is drawn where some path is needed at once."""
    return next(way for way in WAYS.values() if way.at_once)


__all__ = ["WAYS", "Way", "at_once"]
