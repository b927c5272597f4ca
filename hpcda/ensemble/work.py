"""A start in progress: its position on the ladder, and the record it leaves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from hpcda.annealing import Climb, Rung
from hpcda.problem import Array
from hpcda.search import Found

if TYPE_CHECKING:
    from hpcda.store import Checkpoint


@dataclass
class Work:
    """A start at work.

    Attributes:
        climb: Where it is.
        row: Its row in the shard.
        drawing: Seconds that its first path took, until they are counted with its first rung.
        opening: Iterations of its first rung.
        iterations: Its iterations.
        seconds: What it has taken.
        last: The last rung that it has finished.
        levels: Rung -> action and its model part.
        sketch: What is kept of its path.
    """

    climb: Climb
    row: int
    drawing: float = 0.0
    opening: int = 0
    iterations: int = 0
    seconds: float = 0.0
    last: Rung | None = None
    levels: dict[int, tuple[float, float]] = field(default_factory=dict)
    sketch: Array = field(default_factory=lambda: np.zeros(0))

    def add(self, climb: Climb, rung: Rung, sketch: Array) -> Rung:
        """Count a finished rung in.

        Returns:
            The rung with all the time that it took.
        """
        self.climb, self.sketch = climb, sketch
        self.last = rung = rung.at(rung.number, rung.seconds + self.drawing)
        self.iterations += max(rung.factorizations, rung.iterations)
        if rung.number == climb.first:
            self.opening = self.iterations
        self.seconds += rung.seconds
        self.drawing = 0.0
        self.levels[rung.number] = rung.action, rung.parts.model
        return rung

    def found(self, same_as: int, rungs: int, cores: int) -> Found:
        """How it has ended: on a ladder of so many rungs, in so many cores' time."""
        climb, last = self.climb, self.last
        assert last is not None
        levels = np.full((2, rungs), np.nan)
        levels[:, list(self.levels)] = np.transpose(list(self.levels.values()))
        return Found(
            task=climb.task,
            end=last.bare,
            levels=levels[0],
            model=levels[1],
            sketch=self.sketch,
            same_as=same_as,
            failed=climb.failed is not None,
            opening=self.opening,
            iterations=self.iterations,
            seconds=self.seconds * cores,
        )


def resumed_work(checkpoint: Checkpoint, sketch: Array) -> Work:
    """A start as it was after its last committed rung; it has one at least.

    Args:
        checkpoint: What was stored of it.
        sketch: What is kept of its path there.
    """
    one, values = checkpoint, checkpoint.values
    last = one.rung(len(one.rungs) - 1)
    climb = Climb(
        task=one.task,
        next=last.number + 1,
        path=np.zeros(0) if one.path is None else one.path,
        failed=last.reason if last.reason.failed else None,
    )
    steps = np.maximum(values["factorizations"], values["iterations"])
    return Work(
        climb,
        row=-1,
        opening=int(steps[0]),
        iterations=int(steps.sum()),
        seconds=float(values["seconds"].sum()),
        last=last,
        levels={
            int(rung): (float(action), float(model))
            for rung, action, model in zip(one.rungs, values["action"], values["model"], strict=True)
        },
        sketch=sketch,
    )
