"""Pairs of input and output, from a file or from a teacher network, and which of them are held out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from hpcda.action.activation import Function
from hpcda.action.exact_network import ExactNetwork
from hpcda.action.network import Network
from hpcda.build.bundled import Pairs, bundled, labeled
from hpcda.data.arrays import RawArray, array_table
from hpcda.data.cells import begins_as_number
from hpcda.data.files import read_table
from hpcda.data.table import Column, Table
from hpcda.errors import InputError, Mistake
from hpcda.formatting import counted, run_lengths
from hpcda.job.given import Columns
from hpcda.job.networks import PairsTable, TeacherTable
from hpcda.problem import Array, Numbers

SHOWN = 5
"""Categories that a message names."""


def read_pairs(table: PairsTable, path: Any, given: Mapping[str, Columns] | None = None) -> Pairs:
    """The pairs that a job's [data] names.

    Args:
        table: The table.
        path: (name) -> the file, looked up in the job's folder.
        given: Arrays that stand in place of files: name -> columns.

    Raises:
        InputError: There are none, or they hold what cannot be used; every mistake at once.
    """
    if table.source is not None:
        return bundled(table)
    assert table.file is not None
    measured = [table.label] if table.label is not None else list(table.outputs or ())
    wanted = [*(table.inputs or ()), *measured]
    arrays = (given or {}).get(table.file)
    if arrays is None:
        file = read_table(path(table.file), "data.file", None, wanted, table.header)
    else:
        file = _table(table.file, arrays)
    outputs = _columns(file, measured, "data.label" if table.label is not None else "data.outputs")
    named = list(table.inputs) if table.inputs is not None else _others(file, outputs)
    inputs = _columns(file, named, "data.inputs")
    twice = sorted({name for name in inputs if name in outputs or inputs.count(name) > 1})
    if twice:
        problem = f"{twice[0]!r} is listed twice, or is also an output"
        raise InputError(Mistake("data.inputs", problem, "list every column once"))
    x = _values(file, inputs, "data.inputs", () if table.missing_input_std is None else table.missing)
    empty = np.flatnonzero(np.isnan(x).all(axis=0))
    if len(empty):
        remedy = "remove it from the inputs"
        raise InputError(Mistake(f"data.inputs {inputs[empty[0]]!r}", "contains no numbers", remedy))
    numbers = np.arange(len(x), dtype=np.int64)
    source = f"{table.file if arrays is None else 'arrays'}, {counted(len(x), 'pair')}"
    if table.label is not None:
        words = _words(file, outputs[0])
        if words is not None:
            names, labels = np.unique(words, return_inverse=True)
            return labeled(x, tuple(inputs), labels.astype(np.int64), names.tolist(), numbers, source)
        labels = _categories(_values(file, outputs, "data.label", ())[:, 0], "data.label")
        return labeled(x, tuple(inputs), labels, (), numbers, source)
    y = _values(file, outputs, "data.outputs", table.missing)
    return Pairs(x, y, tuple(inputs), tuple(outputs), numbers, None, source)


def _table(name: str, arrays: Columns) -> Table:
    """Arrays as the columns of a file; words as cells of text."""
    numbers = [RawArray(key, values) for key, values in arrays.items() if values.dtype.kind != "U"]
    table = array_table(Path(name), "data.file", numbers, {})
    words = {key: Column(values.tolist()) for key, values in arrays.items() if values.dtype.kind == "U"}
    return replace(table, columns=table.columns | words)


def _columns(file: Table, names: Sequence[str | int], place: str) -> list[str]:
    """Names of columns; an array of several columns stands for all of them."""
    found: list[str] = []
    for name in names:
        if isinstance(name, str) and name in file.matrices:
            found += _all_of(file, name)
        else:
            found.append(file.key(name, place))
    return found


def _all_of(file: Table, matrix: str) -> list[str]:
    return [f"{matrix}[:,{k}]" for k in range(np.asarray(file.matrices[matrix].stored).shape[1])]


def _words(file: Table, name: str) -> list[str] | None:
    """The cells of a column that names categories by words, none of which is a number; None of any other."""
    cells = file.column(name).stored
    if isinstance(cells, np.ndarray):
        return None
    words = [cell.strip() for cell in cells]
    return None if any(not word or begins_as_number(word) for word in words) else words


def _others(file: Table, outputs: Sequence[str]) -> list[str | int]:
    """All columns that are no outputs; by their positions where they have no names."""
    if not file.named:
        return [position for position, name in enumerate(file.columns) if name not in outputs]
    parts = {f"{name}[" for name in file.matrices}
    plain = [name for name in file.columns if not any(name.startswith(part) for part in parts)]
    every = [*plain, *(column for name in file.matrices for column in _all_of(file, name))]
    return [name for name in every if name not in outputs]


def _values(file: Table, names: Sequence[str], place: str, missing: Sequence[Any] | None) -> Array:
    """Columns side by side, shape (pairs, columns), NaN where one may be missing.

    Args:
        file: The file.
        names: Names of the columns.
        place: Key of the job.
        missing: What stands for a missing value; () where none may be missing.
    """
    found, lengths = [], set()
    for name in names:
        column = name if file.named else list(file.columns).index(name)
        values = file.values(column, place, missing or (), needed=missing == ())
        if missing == () and np.isnan(values.numbers).any():
            row = int(np.argmax(np.isnan(values.numbers)))
            remedy = "write a number, or leave the pair out"
            raise InputError(Mistake(file.where(row, name), "holds no number", remedy))
        found.append(values.numbers)
        lengths.add(len(values.numbers))
    if not found:
        raise InputError(Mistake(place, "lists no column", 'list the columns, such as inputs = ["x0"]'))
    if len(lengths) > 1:
        problem = f"its columns have {min(lengths)} to {max(lengths)} values"
        raise InputError(Mistake(place, problem, "give columns of equal length: a row is a pair"))
    return np.column_stack(found)


def _categories(column: Array, place: str) -> Numbers:
    """Categories 0 … K-1.

    Raises:
        InputError: They are others, or one has no pair.
    """
    labels = column.astype(np.int64)
    wrong = np.flatnonzero((labels != column) | (labels < 0))
    if len(wrong):
        problem = f"{column[wrong[0]]:g} is not a category"
        raise InputError(Mistake(place, problem, "number the categories 0, 1, 2, …"))
    count = int(labels.max()) + 1
    if count > len(labels):
        problem = f"{count - 1} is a category, but there are {counted(len(labels), 'pair')}"
        raise InputError(Mistake(place, problem, "number the categories 0, 1, 2, … without gaps"))
    if count < 2:
        raise InputError(Mistake(place, "all pairs belong to one category", "give pairs of at least two"))
    return labels


def divided(pairs: Pairs, hold_back: float, most: int | None, seed: int) -> tuple[Pairs, Pairs | None]:
    """The pairs that are trained, and those that are kept back, each in the order of their source.

    Of categories the same part of each is kept back.

    Args:
        pairs: All pairs.
        hold_back: How many are kept back, or, below 1, what part of them.
        most: How many are trained; None for all.
        seed: Which they are follows from it.

    Raises:
        InputError: There are not so many.
    """
    total = len(pairs.inputs)
    count = round(hold_back * total) if hold_back < 1.0 else int(hold_back)
    if hold_back >= 1.0 and count != hold_back:
        remedy = "give a whole number of pairs, or a fraction below 1"
        raise InputError(Mistake("data.hold_back", f"{hold_back:g} is not a number of pairs", remedy))
    if count >= total:
        problem = f"{count} of {counted(total, 'pair')} would be held out"
        raise InputError(Mistake("data.hold_back", problem, f"hold out fewer than {total}"))
    order = _dealt(pairs.labels, total, np.random.default_rng(seed))
    back, trained = order[:count], order[count:]
    if most is not None:
        if most > len(trained):
            problem = f"asks for {most}, but only {len(trained)} remain for training"
            raise InputError(Mistake("data.pairs", problem, f"give at most {len(trained)}, or leave it out"))
        trained = trained[:most]
    left = pairs.some(np.sort(trained))
    if left.labels is not None:
        missing = [name for k, name in enumerate(left.output_names) if not (left.labels == k).any()]
        if missing:
            names = ", ".join(missing[:SHOWN]) + (", …" if len(missing) > SHOWN else "")
            problem = f"category {names} has no training pair"
            remedy = "use more training pairs, or number the categories without gaps"
            raise InputError(Mistake("data", problem, remedy))
    return left, pairs.some(np.sort(back)) if count else None


def _dealt(labels: Numbers | None, total: int, rng: np.random.Generator) -> Numbers:
    """All pairs in a random order, any part of which holds each category in its proportion."""
    order = rng.permutation(total)
    if labels is None:
        return order
    rank = np.empty(total)
    for category in np.unique(labels):
        own = order[labels[order] == category]
        rank[own] = (np.arange(len(own)) + rng.random()) / len(own)
    return order[np.argsort(rank[order], kind="stable")]


def taught(
    table: TeacherTable, widths: Sequence[int], activations: Sequence[Function], residual: bool = False
) -> tuple[Pairs, Pairs | None, Array, Array]:
    """Pairs that a teacher makes of inputs of a standard normal distribution.

    Args:
        table: The teacher.
        widths: Units of its layers.
        activations: g of each layer after the input.
        residual: Whether its layers are residual.

    Returns:
        The pairs that are trained, those kept back, the teacher's weights, flat, and the spread of each of
        its outputs over the inputs, without noise.
    """
    rng = np.random.default_rng(table.seed)
    parts = []
    for before, after in pairwise(widths):
        if table.weight_range is not None:
            matrix = rng.uniform(*table.weight_range, size=(after, before))
        else:
            matrix = (table.weight_std or 1.0) * rng.standard_normal((after, before))
        parts += [matrix.ravel(), table.bias_std * rng.standard_normal(after)]
    theta, total = np.concatenate(parts), table.pairs + table.hold_back
    inputs = rng.standard_normal((total, widths[0]))
    blank = np.zeros((total, widths[-1]))
    teacher = Network(tuple(widths), activations, inputs, blank, table.noise_std, residual=residual)
    clean = ExactNetwork(teacher).outputs(theta)
    outputs = clean + table.noise_std * rng.standard_normal(clean.shape)
    if table.input_std is not None:
        inputs = inputs + table.input_std * rng.standard_normal(inputs.shape)
    if table.measured is not None:
        inputs[:, table.measured :] = outputs[:, table.measured :] = np.nan
    made = Pairs(
        inputs, outputs, tuple(f"x{k}" for k in range(widths[0])), tuple(f"y{k}" for k in range(widths[-1])),
        np.arange(total, dtype=np.int64), None, f"a teacher of layers {run_lengths(widths, '-')}",
    )  # fmt: skip
    back = np.arange(table.pairs, total)
    kept = made.some(back) if len(back) else None
    return made.some(np.arange(table.pairs)), kept, theta, clean.std(axis=0)
