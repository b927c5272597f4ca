"""Ways to begin, one a module."""

from hpcda.search.ways.grown import GROWN
from hpcda.search.ways.noise import NOISE
from hpcda.search.ways.passes import PASSES
from hpcda.search.ways.quiet import QUIET
from hpcda.search.ways.smoother import SMOOTHER
from hpcda.search.ways.uniform import UNIFORM
from hpcda.search.ways.way import Way

WAYS: dict[str, Way] = {way.name: way for way in (UNIFORM, QUIET, NOISE, SMOOTHER, PASSES, GROWN)}

__all__ = ["WAYS", "Way"]
