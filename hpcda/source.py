"""Provenance of data: file, line or row, and column of every measured value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpcda.names import shortened


def place_of(file: str, counted_by: str, number: int, column: str) -> str:
    """The place of one value, as messages give it: ``data.csv, line 17, column 'x'``."""
    return f"{file}, {counted_by} {number}, column {shortened(column)!r}"


@dataclass(frozen=True)
class Source:
    """Where the data of one window were read.

    Attributes:
        file: Name of the file.
        counted_by: "line", from 1, of a text; "row", from 0, of arrays.
        numbers: Line or row of every path point, shape (N,), -1 where there is none.
        columns: Column of each of the L measured quantities, "" where the window does not have it.
    """

    file: str
    counted_by: str
    numbers: npt.NDArray[np.int64]
    columns: tuple[str, ...]

    def place(self, point: int, quantity: int) -> str | None:
        """The place of one value; None where no value stands."""
        if self.numbers[point] < 0 or not self.columns[quantity]:
            return None
        return place_of(self.file, self.counted_by, int(self.numbers[point]), self.columns[quantity])
