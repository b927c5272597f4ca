"""On from where the limit of iterations stopped a start, at the last rung: along a flat valley."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpcda.problem import Array
from hpcda.search.escapes.escape import Escape
from hpcda.search.scene import Scene


def _path(scene: Scene, minima: Sequence[Array], rng: np.random.Generator) -> tuple[Array, int]:
    return minima[0], scene.ladder.rungs - 1


ONWARD = Escape("onward", "further iterations at the last rung, where their limit stopped a start", 1, _path)
