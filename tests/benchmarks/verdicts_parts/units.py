"""Units from 1e-9 to 1e6: is an answer that the units have spoiled called stable, and a right one not?

    .venv/bin/python tests/benchmarks/verdicts.py units [--only NAME] [--out FILE]

Every twin is solved with the default weights of the model error and with "auto". Its truth obeys the
discretization exactly, whose steps are fine, so that units are all that can go wrong. The right answer, path
and parameters with their standard deviations, is SciPy's least-squares fit of the first states and the
parameters in units of order one (shooting: the path is their function). An answer is wrong where a parameter,
or the root mean square of a state over the window, lies more than three standard deviations from the fit;
right within one.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import least_squares

import hpcda
from hpcda import runner
from tests.benchmarks.verdicts_parts.table import Row, counts, line

WRONG, RIGHT = 3.0, 1.0
LIMIT = 8.0
"""Core-seconds that a search may take."""
Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class System:
    """What is measured of which model, in units of order one.

    Attributes:
        source: Right sides as Python text, of the states' and the parameters' names.
        states: Name -> range and true first value.
        parameters: Estimated parameters: name -> true value and range.
        observed: Measured states.
        noise: Standard deviation of the noise.
        dt: Time between samples, 1 for maps.
        samples: How many.
        scheme: Discretization.
        bounds: Of states and parameters, where there are any.
    """

    source: tuple[str, ...]
    states: dict[str, tuple[float, float, float]]
    parameters: dict[str, tuple[float, float, float]]
    observed: tuple[str, ...]
    noise: float
    dt: float
    samples: int
    scheme: str = "trapezoid"
    bounds: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def rate(self) -> Callable[[Array, Array], Array]:
        """The right sides as a function of states and parameters."""
        codes = [compile(text, "rate", "eval") for text in self.source]
        names = [*self.states, *self.parameters]

        def rate(x: Array, p: Array) -> Array:
            values = dict(zip(names, [*x, *p], strict=True))
            return np.array([eval(code, {"exp": np.exp}, values) for code in codes])

        return rate

    def path(self, unknowns: Array) -> Array:
        """The path that obeys the discretization, of first states and parameters, shape (samples, D)."""
        count = len(self.states)
        path, p = [unknowns[:count]], unknowns[count:]
        step, rate = STEPS[self.scheme], self.rate
        while len(path) < self.samples:
            path += step(path[-1], lambda x: rate(x, p), self.dt)
        return np.array(path)


def _trapezoid(x: Array, rate: Callable[[Array], Array], dt: float) -> list[Array]:
    known = x + dt / 2 * rate(x)
    following = known
    for _ in range(40):  # a contraction by about dt/2 · |∂F/∂x|
        following = known + dt / 2 * rate(following)
    return [following]


def _hermite_simpson(x: Array, rate: Callable[[Array], Array], dt: float) -> list[Array]:
    first, middle, end = rate(x), x, x
    for _ in range(60):
        last = rate(end)
        middle = (x + end) / 2 + dt / 4 * (first - last)
        end = x + dt / 3 * (first + 4 * rate(middle) + last)
    return [middle, end]


def _runge_kutta(x: Array, rate: Callable[[Array], Array], dt: float) -> list[Array]:
    a = rate(x)
    b = rate(x + dt / 2 * a)
    c = rate(x + dt / 2 * b)
    return [x + dt / 6 * (a + 2 * b + 2 * c + rate(x + dt * c))]


STEPS: dict[str, Callable[[Array, Callable[[Array], Array], float], list[Array]]] = {
    "trapezoid": _trapezoid,
    "hermite-simpson": _hermite_simpson,
    "rk4": _runge_kutta,
    "map": lambda x, rate, dt: [rate(x)],
}
SYSTEMS = {
    "decay": System(
        ("Y + k", "-d * Y"), {"X": (0, 8, 0), "Y": (0, 3, 2)}, {"k": (0.5, 0, 1), "d": (0.8, 0.1, 2)},
        ("X",), 0.05, 0.1, 61,
    ),
    "decay, one unknown": System(
        ("Y", "-d * Y"), {"X": (0, 8, 0), "Y": (0, 3, 2)}, {"d": (0.3, 0.1, 1)}, ("X",), 0.3, 0.1, 31,
        bounds={"X": (0, 100), "Y": (0, 10), "d": (0, 5)},
    ),
    "predator": System(
        ("a * u - u * v", "b * u * v - v"), {"u": (0, 5, 1.0), "v": (0, 5, 0.5)},
        {"a": (1.2, 0.5, 2), "b": (0.8, 0.3, 1.5)}, ("u",), 0.1, 0.1, 81, "rk4",
    ),
    "nerve": System(
        ("v - v**3 / 3 - w + 0.5", "(v + a - b * w) / 5"), {"v": (-2.5, 2.5, -1), "w": (-1, 2, 1)},
        {"a": (0.7, 0.2, 1.2), "b": (0.8, 0.3, 1.3)}, ("v",), 0.1, 0.2, 101, "hermite-simpson",
    ),
    "lorenz63": System(
        ("10 * (y - x)", "x * (rho - z) - y", "x * y - beta * z"),
        {"x": (-20, 20, -6), "y": (-25, 25, -8), "z": (0, 50, 20)},
        {"rho": (28, 20, 40), "beta": (2.667, 1, 5)}, ("x",), 0.5, 0.02, 81, "rk4",
    ),
    "henon": System(
        ("1 - a * x**2 + y", "b * x"), {"x": (-1.3, 1.3, 0.1), "y": (-0.4, 0.4, 0.1)},
        {"a": (1.3, 1.0, 1.42), "b": (0.3, 0.2, 0.4)}, ("x",), 0.02, 1.0, 21, "map",
    ),
    "cascade": System(
        ("-a * P", "a * P - b * Q", "b * Q - 0.1 * R"), {"P": (0, 5, 3), "Q": (0, 3, 0), "R": (0, 5, 0)},
        {"a": (0.5, 0.1, 1), "b": (0.3, 0.1, 1)}, ("Q", "R"), 0.05, 0.25, 61, "rk4",
    ),
}  # fmt: skip
TWINS: tuple[tuple[str, dict[str, float]], ...] = (
    ("decay", {}), ("decay", {"Y": 1e-9}), ("decay", {"Y": 1e-6}), ("decay", {"Y": 1e-4}),
    ("decay", {"Y": 1e-3}), ("decay", {"Y": 1e-2}), ("decay", {"Y": 1e-1}), ("decay", {"Y": 1e3}),
    ("decay", {"Y": 1e6}), ("decay", {"X": 1e-9}), ("decay", {"X": 1e-6, "Y": 1e-6}), ("decay", {"X": 1e6}),
    ("decay, one unknown", {"Y": 1e-9}), ("decay, one unknown", {"Y": 1e-5}),
    ("decay, one unknown", {"Y": 1e-3}), ("decay, one unknown", {"Y": 1e-2}),
    ("decay, one unknown", {"Y": 1e5}),
    ("predator", {}), ("predator", {"v": 1e-9}), ("predator", {"v": 1e-5}), ("predator", {"v": 1e-3}),
    ("predator", {"v": 1e-2}), ("predator", {"v": 1e4}), ("predator", {"u": 1e-4}),
    ("predator", {"u": 1e6, "v": 1e6}), ("nerve", {}), ("nerve", {"w": 1e-9}), ("nerve", {"w": 1e-4}),
    ("nerve", {"w": 1e-3}), ("nerve", {"w": 1e-2}), ("nerve", {"w": 1e3}), ("nerve", {"v": 1e-3}),
    ("lorenz63", {}), ("lorenz63", {"z": 1e-6}), ("lorenz63", {"z": 1e-3}), ("lorenz63", {"y": 1e-2}),
    ("lorenz63", {"y": 1e-9, "z": 1e6}), ("lorenz63", {"x": 1e-3, "y": 1e-3, "z": 1e-3}),
    ("lorenz63", {"x": 1e5}), ("henon", {}), ("henon", {"y": 1e-9}), ("henon", {"y": 1e-3}),
    ("henon", {"y": 1e-2}), ("henon", {"x": 1e-6, "y": 1e-6}), ("cascade", {}), ("cascade", {"Q": 1e-9}),
    ("cascade", {"Q": 1e-3}), ("cascade", {"P": 1e-4}), ("cascade", {"P": 1e-2, "Q": 1e-4}),
    ("cascade", {"P": 1e6, "Q": 1e-6}),
)  # fmt: skip
"""System, and the factor by which the numbers of some states are multiplied."""


@dataclass(frozen=True)
class Fit:
    """The right answer.

    Attributes:
        data: Shape (samples, L).
        path: Shape (samples, D).
        path_std: Its standard deviations.
        parameters: Shape (P,).
        parameter_std: Theirs.
    """

    data: Array
    path: Array
    path_std: Array
    parameters: Array
    parameter_std: Array


def fit(system: System, seed: int) -> Fit:
    """Make the data and fit them."""
    rng, states = np.random.default_rng([seed, 11]), list(system.states)
    true = np.array(
        [one[2] for one in system.states.values()] + [one[0] for one in system.parameters.values()]
    )
    seen = [states.index(name) for name in system.observed]
    path = system.path(true)
    data = path[:, seen] + system.noise * rng.standard_normal((system.samples, len(seen)))
    bounds = np.array([system.bounds.get(name, (-np.inf, np.inf)) for name in (*states, *system.parameters)])

    def residuals(unknowns: Array) -> Array:
        return ((system.path(unknowns)[:, seen] - data) / system.noise).ravel()

    start = np.clip(true, bounds[:, 0] + 1e-6, bounds[:, 1] - 1e-6)
    found = least_squares(
        residuals, start, jac="3-point", bounds=bounds.T, xtol=1e-14, ftol=1e-14, gtol=1e-12
    )
    covariance = np.linalg.inv(found.jac.T @ found.jac)
    slopes = []
    for k, value in enumerate(found.x):
        step = np.zeros(len(true))
        step[k] = 1e-5 * max(abs(value), 0.1)
        slopes.append((system.path(found.x + step) - system.path(found.x - step)) / (2 * step[k]))
    path_std = np.sqrt(np.einsum("ind,ij,jnd->nd", slopes, covariance, slopes))
    std = np.sqrt(np.diagonal(covariance))[len(states) :]
    return Fit(data, system.path(found.x), path_std, found.x[len(states) :], std)


def source(system: System) -> str:
    """The model as a file: states in units of their own, whose sizes are parameters of the model."""
    sides = [f"p.unit_{name} * ({text})" for name, text in zip(system.states, system.source, strict=True)]
    named = [f"    {name} = path.{name} / p.unit_{name}" for name in system.states]
    named += [f"    {name} = p.{name}" for name in system.parameters]
    ranges = {name: one[:2] for name, one in system.states.items()}
    return "\n".join(
        [
            "from hpcda import Model, Parameter, State",
            "def equations(path, p):",
            *named,
            f"    return [{', '.join(sides)}]",
            "def build(units=None):",
            f"    ranges, size = {ranges!r}, dict.fromkeys({list(ranges)!r}, 1.0) | (units or {{}})",
            "    states = tuple(State(n, range=(size[n] * a, size[n] * b)) for n, (a, b) in ranges.items())",
            f"    known = {system.parameters!r}",
            "    estimated = tuple(Parameter(n, 1.0, range=one[1:]) for n, one in known.items())",
            "    sizes = tuple(Parameter(f'unit_{n}', c) for n, c in size.items())",
            f"    kind = {'map' if system.scheme == 'map' else 'flow'!r}",
            "    return Model(name='units', states=states, parameters=(*estimated, *sizes),",
            "                 equations=equations, kind=kind)",
        ]
    )


def solve(
    system: System, right: Fit, units: dict[str, float], weights: str, folder: Path
) -> tuple[str, float]:
    """The verdict of hpcda, and how far its answer is from the right one."""
    size = np.array([units.get(name, 1.0) for name in system.states])
    seen = [list(system.states).index(name) for name in system.observed]
    np.savez(folder / "data.npz", t=system.dt * np.arange(system.samples), **{
        name: right.data[:, k] * size[seen[k]] for k, name in enumerate(system.observed)
    })  # fmt: skip
    (folder / "scaled.py").write_text(source(system))
    bounds = {
        name: {"bounds": [units.get(name, 1.0) * end for end in ends]} for name, ends in system.bounds.items()
    }
    job = {
        "folder": str(folder),
        "model": {
            "name": "scaled.py:build",
            "options": {"units": units} if units else {},
            "parameters": {name: {"estimate": True} | bounds.get(name, {}) for name in system.parameters},
            "states": {name: bounds[name] for name in system.states if name in bounds},
        },
        "data": {
            "file": "data.npz", "time": "t", "observed": list(system.observed),
            "noise_std": {name: system.noise * units.get(name, 1.0) for name in system.observed},
        },
        "action": {"discretization": system.scheme}
        | ({"model_error_weight": "auto"} if weights == "auto" else {}),
        "ladder": {"alpha": 4.0, "rf_max": 1e7},
        "ensemble": {"core_seconds": LIMIT},
    }  # fmt: skip
    found = hpcda.open_run(runner.run(job, output=folder / "run", quiet=True))
    if found.candidate is None:
        return found.verdict.code, np.inf
    (path,), parameters = found.kept_path()
    off = np.sqrt(np.mean(((path / size - right.path) / np.maximum(right.path_std, 1e-9)) ** 2, axis=0))
    apart = np.abs(parameters - right.parameters) / right.parameter_std
    return found.verdict.code, float(np.max([*off, *apart]))


def main() -> int:
    """Run the table."""
    parser = argparse.ArgumentParser(
        prog="verdicts.py units", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="run twins whose name holds this")
    parser.add_argument("--seed", type=int, default=1, help="of the noise")
    parser.add_argument("--out", type=Path, help="file for the table")
    given = parser.parse_args()
    fits = {name: fit(system, given.seed) for name, system in SYSTEMS.items() if given.only in name}
    rows: dict[str, list[Row]] = {"default": [], "auto": []}
    lines = [f"{'system, factors of the units, weights':44}{'off':>10}{'taken':>8}    verdict"]
    for name, units in TWINS:
        for weights in rows if name in fits else ():
            with tempfile.TemporaryDirectory(prefix="hpcda-units-") as folder:
                began = time.process_time()
                verdict, off = solve(SYSTEMS[name], fits[name], units, weights, Path(folder))
            factors = " ".join(f"{state}·{factor:g}" for state, factor in units.items())
            row = Row(f"{name} {factors or '·1'} {weights}", verdict, off, time.process_time() - began)
            rows[weights].append(row)
            lines.append(line(row, WRONG))
            print(lines[-1], flush=True)
    for weights, some in rows.items():
        lines.append(f"{weights}: {counts(some, WRONG, RIGHT)}")
        print(lines[-1])
    if given.out:
        given.out.write_text("\n".join(lines) + "\n")
    return int(any(row.stable and not row.off <= WRONG for some in rows.values() for row in some))


if __name__ == "__main__":
    sys.exit(main())
