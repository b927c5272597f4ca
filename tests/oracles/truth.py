"""True runs of three models, from SciPy's DOP853 and equations written here; nothing of hpcda.

Chaos turns the last digit into the first one within a spin-up, and the last digit depends on the processor.
So a spin-up is done once (`begin`, by `python -m tests.oracles.make --beginnings`); the states that it ends
with are rounded to 6 digits and kept in beginnings.json, and a run begins there. Over a window two machines
then agree to about 1e-9.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from scipy.integrate import solve_ivp

BEGINNINGS = Path(__file__).with_name("beginnings.json")
TOLERANCE = 1e-13
DIGITS = 6


@dataclass(frozen=True)
class Truth:
    """A true run.

    Attributes:
        t: Times, shape (N,).
        states: States at these times, shape (N, D).
        names: Names of the states.
        parameters: Value of every parameter.
        stimuli: Name -> values of a stimulus, shape (N,).
    """

    t: np.ndarray
    states: np.ndarray
    names: tuple[str, ...]
    parameters: dict[str, float]
    stimuli: dict[str, np.ndarray]


@dataclass(frozen=True)
class Source:
    """What makes true runs: a model with its parameters, on a grid of times.

    Attributes:
        rates: (t, x) -> dx/dt of all that is integrated: the states, then what drives them.
        names: Names of the states.
        parameters: Value of every parameter.
        first: rng -> where a spin-up begins.
        spin_up: How long it takes.
        dt: Spacing of the times.
        times: N.
        stimuli: Name -> function of all that is integrated, shape (size, N), that gives the stimulus.
    """

    rates: Callable[[float, np.ndarray], np.ndarray]
    names: tuple[str, ...]
    parameters: dict[str, float]
    first: Callable[[np.random.Generator], np.ndarray]
    spin_up: float
    dt: float
    times: int
    stimuli: dict[str, Callable[[np.ndarray], np.ndarray]]

    def begin(self, seed: int) -> list[float]:
        """Where the run of a seed begins: the end of a spin-up, rounded."""
        x = self.first(np.random.default_rng([seed, 0]))
        return [round(value, DIGITS) for value in self._run(x, np.array([0.0, self.spin_up]))[:, -1].tolist()]

    def truth(self, beginning: list[float]) -> Truth:
        """The run from there."""
        t = self.dt * np.arange(self.times)
        x = self._run(np.array(beginning), t)
        stimuli = {name: function(x) for name, function in self.stimuli.items()}
        return Truth(t, x[: len(self.names)].T.copy(), self.names, self.parameters, stimuli)

    def _run(self, x: np.ndarray, t: np.ndarray) -> np.ndarray:
        found = solve_ivp(
            self.rates, (t[0], t[-1]), x, method="DOP853", t_eval=t, rtol=TOLERANCE, atol=TOLERANCE
        )
        assert found.success, found.message
        return found.y


def lorenz96(dimension: int, forcing: float = 8.17) -> Source:
    """E. N. Lorenz's model of 1996, 161 times 0.025 apart."""
    back, back_two, ahead = (np.roll(np.arange(dimension), shift) for shift in (1, 2, -1))

    def rates(t: float, x: np.ndarray) -> np.ndarray:
        return (x[ahead] - x[back_two]) * x[back] - x + forcing

    names = tuple(f"x{site}" for site in range(dimension))

    def first(rng: np.random.Generator) -> np.ndarray:
        return forcing + rng.standard_normal(dimension)

    return Source(rates, names, {"F": forcing}, first, 50.0, 0.025, 161, {})


def colpitts() -> Source:
    """The oscillator of jobs/colpitts, 801 times 0.05 apart."""
    p = {"alpha": 5.0, "gamma": 0.0797, "q": 0.6898, "eta": 6.2723}

    def rates(t: float, x: np.ndarray) -> np.ndarray:
        current = p["eta"] * (x[1] + 1.0 - np.exp(-x[0]))
        return np.array([p["alpha"] * x[1], -p["gamma"] * (x[0] + x[2]) - p["q"] * x[1], current])

    return Source(rates, ("x1", "x2", "x3"), p, lambda rng: rng.uniform(-0.1, 0.1, 3), 100.0, 0.05, 801, {})


def nakl() -> Source:
    """The neuron of jobs/nakl, 2001 times 0.02 ms apart; x of Lorenz's model of 1963 is its current."""
    p = {
        "gNa": 120.0, "ENa": 50.0, "gK": 20.0, "EK": -77.0, "gL": 0.3, "EL": -54.4,
        "vm": -40.0, "dvm": 15.0, "tm0": 0.1, "tm1": 0.4,
        "vh": -60.0, "dvh": -15.0, "th0": 1.0, "th1": 7.0,
        "vn": -55.0, "dvn": 30.0, "tn0": 1.0, "tn1": 5.0,
    }  # fmt: skip
    offset, scale, slow = 10.0, 16.0 / 7.9, 15.0

    def rates(t: float, x: np.ndarray) -> np.ndarray:
        v, m, h, n, a, b, c = x
        current = p["gNa"] * m**3 * h * (v - p["ENa"]) + p["gK"] * n**4 * (v - p["EK"])
        rate = [offset + scale * a - current - p["gL"] * (v - p["EL"])]
        for gate, value in zip("mhn", (m, h, n), strict=True):
            bend = np.tanh((v - p["v" + gate]) / p["dv" + gate])
            time = p[f"t{gate}0"] + p[f"t{gate}1"] * (1.0 - bend**2)
            rate.append((0.5 * (1.0 + bend) - value) / time)
        drive = [10.0 * (b - a), a * (28.0 - c) - b, a * b - 8.0 / 3.0 * c]
        return np.array([*rate, *(value / slow for value in drive)])

    def first(rng: np.random.Generator) -> np.ndarray:
        return np.array([-65.0, 0.035, 0.66, 0.34, *(np.array([1.0, 1.0, 25.0]) + rng.uniform(-1, 1, 3))])

    stimuli = {"I": lambda x: offset + scale * x[4]}
    return Source(rates, ("V", "m", "h", "n"), p, first, 300.0, 0.02, 2001, stimuli)


SOURCES: dict[str, Callable[[], Source]] = {
    "lorenz96-10": lambda: lorenz96(10),
    "lorenz96-20": lambda: lorenz96(20),
    "colpitts": colpitts,
    "nakl": nakl,
}
SEEDS = {"lorenz96-10": (1, 2, 3, 4), "lorenz96-20": (1, 2, 3, 4), "colpitts": (1, 2, 3, 4), "nakl": (6, 2)}


@cache
def true_run(source: str, seed: int) -> Truth:
    """The run of a seed, from the beginning that is kept."""
    return SOURCES[source]().truth(json.loads(BEGINNINGS.read_text())[source][str(seed)])


def beginnings() -> str:
    """The text of beginnings.json, made anew."""
    found = {name: {str(seed): make().begin(seed) for seed in SEEDS[name]} for name, make in SOURCES.items()}
    lines = ",\n".join(
        f' "{name}": {{\n'
        + ",\n".join(f'  "{seed}": {json.dumps(values)}' for seed, values in seeds.items())
        + "\n }"
        for name, seeds in found.items()
    )
    return f"{{\n{lines}\n}}\n"
