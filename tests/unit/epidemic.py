"""An influenza outbreak in a boarding school, 763 boys: those in bed on 14 days (Br. Med. J. 1, 587 (1978)).

The number infectious of the S-I-R model is taken for those in bed; the first day has one boy infectious.
"""

from __future__ import annotations

import numpy as np
from scipy.integrate import solve_ivp
from scipy.optimize import least_squares

from hpcda import Model, Parameter, State
from hpcda.problem import Estimated, Problem, Window

IN_BED = (3, 8, 26, 76, 225, 298, 258, 233, 189, 128, 68, 29, 14, 4)
NOISE, PEOPLE = 20.0, 763.0
KNOWN = {"S": (762.0, 0.01), "I": (1.0, 0.001), "R": (0.0, 0.001)}
"""Mean and standard deviation of the states on the first day."""
SOURCE = """
from hpcda import Model, Parameter, State

def equations(x, p):
    new = p.beta * x.S * x.I / 763
    return [-new, new - p.gamma * x.I, p.gamma * x.I]

def build():
    states = (State("S", range=(600, 763)), State("I", range=(0, 20)), State("R", range=(0, 50)))
    parameters = (Parameter("beta", 2.0, range=(0.5, 4)), Parameter("gamma", 0.5, range=(0.1, 1)))
    return Model(name="epidemic", states=states, parameters=parameters, equations=equations)
"""


def equations(x, p):
    new = p.beta * x.S * x.I / PEOPLE
    return [-new, new - p.gamma * x.I, p.gamma * x.I]


def make_problem(scheme: str = "trapezoid") -> Problem:
    """One step a day."""
    model = Model(
        name="epidemic",
        states=(State("S", range=(600, 763)), State("I", range=(0, 20)), State("R", range=(0, 50))),
        parameters=(Parameter("beta", 2.0, range=(0.5, 4)), Parameter("gamma", 0.5, range=(0.1, 1))),
        equations=equations,
    )
    data = np.array([[np.nan], *([count] for count in IN_BED)], dtype=float)
    days = np.arange(len(data), dtype=float)
    return Problem(
        model=model,
        discretization=scheme,
        windows=(Window(days, data, np.full_like(data, NOISE), np.zeros((len(days), 0))),),
        observed={"I": "I"},
        parameters=(
            Estimated("beta", (0.5, 4.0), bounds=(0.0, 10.0)),
            Estimated("gamma", (0.1, 1.0), bounds=(0.0, 10.0)),
        ),
        state_start=np.array([[600.0, 763.0], [0.0, 300.0], [0.0, 500.0]]),
        state_bounds=np.tile([-np.inf, np.inf], (3, 1)),
        model_error_weight=np.ones(3),
        initial_prior=KNOWN,
    )


def write_job(folder, **action) -> dict:
    """The job of the same problem, whose files are in `folder`."""
    (folder / "epidemic.py").write_text(SOURCE)
    rows = "".join(f"{day},{count}\n" for day, count in enumerate(("", *IN_BED)))
    (folder / "d.csv").write_text("day,in_bed\n" + rows)
    bounded = {"estimate": True, "bounds": [0.0, 10.0]}
    return {
        "folder": str(folder),
        "model": {
            "name": "epidemic.py:build",
            "parameters": {"beta": bounded, "gamma": bounded},
            "states": {
                name: {"initial_prior": {"mean": mean, "std": std}} for name, (mean, std) in KNOWN.items()
            },
        },
        "data": {
            "file": "d.csv",
            "time": "day",
            "observed": {"I": "in_bed"},
            "noise_std": NOISE,
            "gaps": True,
        },
        "action": action,
        "ladder": {"alpha": 4.0, "rf_max": 1e6},
        "ensemble": {"starts": 16},
    }


def followed(first, parameters, days):
    """States on these days, shape (N, 3), by LSODA."""
    beta, gamma = parameters

    def rates(_, x):
        new = beta * x[0] * x[1] / PEOPLE
        return [-new, new - gamma * x[1], gamma * x[1]]

    return solve_ivp(rates, (days[0], days[-1]), first, "LSODA", days, rtol=1e-11, atol=1e-11).y.T


def fitted():
    """The least-squares fit: beta and gamma, their standard deviations, the action."""
    means, stds = np.array([*KNOWN.values()]).T
    days = np.arange(len(IN_BED) + 1.0)

    def misfit(unknown):
        states = followed(unknown[:3], unknown[3:], days)
        return np.concatenate([(states[1:, 1] - IN_BED) / NOISE, (unknown[:3] - means) / stds])

    found = least_squares(misfit, [*means, 1.6, 0.45], x_scale=[1, 1e-3, 1e-3, 1, 1], xtol=1e-12, ftol=1e-12)
    covariance = np.linalg.inv(found.jac.T @ found.jac)
    return found.x[3:], np.sqrt(np.diag(covariance))[3:], float(found.cost)
