"""The search for the lowest minimum: ways to begin, escapes, and what they use."""

from hpcda.search.begin import begin
from hpcda.search.escapes import ESCAPES, Escape
from hpcda.search.scene import Scene
from hpcda.search.ways import WAYS, Way

__all__ = ["ESCAPES", "WAYS", "Escape", "Scene", "Way", "begin"]
