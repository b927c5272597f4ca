"""Boundary value problems beside SciPy's solve_bvp: order, speed, size, test problems, many solutions, chaos.

    .venv/bin/python tests/benchmarks/boundary.py [order] [speed] [wide] [problems] [layers] [bratu] [lorenz]

CPU seconds are medians of `REPEATS` calls, of the two solvers in turn, after one that compiles. The ten
problems are those of the same numbers of F. Mazzia, J. R. Cash, A Fortran Test Set for Boundary Value Problem
Solvers, AIP Conf. Proc. 1648, 020009 (2015), at ε = 0.05; their solutions are known.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.integrate import solve_bvp, solve_ivp
from scipy.interpolate import make_interp_spline
from scipy.special import erf

sys.path.insert(0, str(Path(__file__).parents[2]))

import hpcda
from hpcda.boundary.conditions import checked
from hpcda.boundary.refine import Mesher, refined
from tests.unit import field

NAN, EPS, REPEATS = np.nan, 0.05, 5
WIDE = 60


def paired(*calls: Callable[[], Any]) -> list[tuple[float, Any]]:
    """Median CPU seconds and result of each of some calls, made in turn."""
    seconds, results = np.zeros((REPEATS, len(calls))), [call() for call in calls]
    for repeat in range(REPEATS):
        for k, call in enumerate(calls):
            began = time.process_time()
            results[k] = call()
            seconds[repeat, k] = time.process_time() - began
    return list(zip(np.median(seconds, axis=0), results, strict=True))


def neural(t, x):
    return np.tanh(field.BASE @ x + np.sin(field.OMEGA * t) * (field.SWING @ x) + field.BIAS)


def ours(**changes):
    given = {"noise_std": field.PRECISION**-0.5, "rf": 1.0} | changes
    return hpcda.boundary_value(neural, [0.0, field.SPAN], [field.FIRST, field.LAST], **given)


def scipys(tol: float):
    def rates(t, z):
        x, p = z[:3], z[3:]
        weights = field.BASE[:, :, None] + field.SWING[:, :, None] * np.sin(field.OMEGA * t)
        g = np.tanh(np.einsum("ijn,jn->in", weights, x) + field.BIAS[:, None])
        return np.vstack([g + p, -np.einsum("ijn,in->jn", weights, (1.0 - g**2) * p)])

    def ends(a, b):
        first = a[3:] - field.PRECISION * (a[:3] - field.FIRST)
        return np.concatenate([first, b[3:] + field.PRECISION * (b[:3] - field.LAST)])

    t = np.linspace(0.0, field.SPAN, 41)
    guess = np.vstack([np.linspace(field.FIRST, field.LAST, 41).T, np.zeros((3, 41))])
    return solve_bvp(rates, ends, t, guess, tol=tol, max_nodes=100_000)


def order() -> None:
    """Errors of states and momenta against steps."""
    reference = field.boundary_value(1.0)
    before = None
    for steps in (20, 40, 80, 160, 320):
        found = ours(steps=steps)
        z = reference(found.t)
        now = np.array([np.abs(found.x - z[:3].T).max(), np.abs(found.momenta - z[3:].T).max()])
        slopes = "" if before is None else " orders {:.3f}, {:.3f}".format(*np.log2(before / now))
        print(f"order: N = {steps}: states {now[0]:.2e}, momenta {now[1]:.2e}{slopes}")
        before = now


def speed() -> None:
    """The same problem to a tolerance, from the function, and with equations traced and meshes made."""
    std = field.PRECISION**-0.5
    ends = [field.FIRST, field.LAST]
    given = checked(neural, [0.0, field.SPAN], ends, std, {}, {}, {}, {}, 1.0, "auto", None)
    mesher, line = Mesher(given), make_interp_spline([0.0, field.SPAN], np.array(ends), k=1)

    def again(tol: float):
        return refined(mesher, line, given.guess, tol, 10_000, 100)

    reference = field.boundary_value(1.0)
    for tol in (1e-4, 1e-6, 1e-8):
        (one, found), (traced, _), (other, theirs) = paired(
            lambda tol=tol: ours(tol=tol), lambda tol=tol: again(tol), lambda tol=tol: scipys(tol)
        )
        error = np.abs(found.x - reference(found.t)[:3].T).max()
        their = np.abs(theirs.sol(found.t)[:3] - reference(found.t)[:3]).max()
        print(
            f"speed: tol {tol:g}: {1e3 * one:.1f} ms, equations and meshes at hand {1e3 * traced:.1f} ms, "
            f"error {error:.1e}; solve_bvp {1e3 * other:.1f} ms, error {their:.1e}, "
            f"status {theirs.status}; ratios {other / one:.2f}, {other / traced:.2f}"
        )


def wide() -> None:
    """60 tanh units with estimated biases, measured at both ends: gentle, and strongly coupled."""
    for gain, rf in ((0.9, 10.0), (3.0, 10.0), (3.0, 1000.0)):
        _wide(gain, rf)


def _wide(gain: float, rf: float) -> None:
    rng = np.random.default_rng(1)
    w = rng.standard_normal((WIDE, WIDE)) * gain / np.sqrt(WIDE)
    b = 0.3 * rng.standard_normal(WIDE)
    first = rng.standard_normal(WIDE)
    true = solve_ivp(lambda t, x: np.tanh(w @ x + b), (0, 2), first, rtol=1e-10, atol=1e-10)
    y = np.array([first, true.y[:, -1]]) + 0.05 * rng.standard_normal((2, WIDE))
    prior = {"b": (0.0, 1.0)}

    def rates(t, z, p):
        x, m = z[:WIDE], z[WIDE : 2 * WIDE]
        g = np.tanh(w @ x + p[:, None])
        back = (1.0 - g**2) * m
        return np.vstack([g + m / rf, -w.T @ back, -back])  # the last: ∫ ∂f/∂b p, for the prior

    def ends(a, c, p):
        return np.concatenate(
            [
                a[WIDE : 2 * WIDE] - 400.0 * (a[:WIDE] - y[0]),
                c[WIDE : 2 * WIDE] + 400.0 * (c[:WIDE] - y[1]),
                a[2 * WIDE :],
                c[2 * WIDE :] + p,
            ]
        )

    began = time.process_time()
    found = hpcda.boundary_value(
        lambda t, x, p: np.tanh(w @ x + p.b),
        [0.0, 2.0],
        y,
        noise_std=0.05,
        rf=rf,
        p={"b": np.zeros(WIDE)},
        p_prior=prior,
        tol=1e-4,
    )
    seconds = time.process_time() - began
    off = np.sqrt(np.mean((found.p["b"] - b) ** 2)) if found.success else np.nan
    print(
        f"wide: gain {gain:g}, Rf {rf:g}: {WIDE} states, {WIDE} parameters, tol 1e-4: "
        f"{found.message}, {seconds:.1f} s "
        f"with compilation, {found.niter} Newton steps, b off by {off:.2f} rms"
    )
    t = np.linspace(0.0, 2.0, 21)
    z = np.vstack([np.linspace(*y, 21).T, np.zeros((2 * WIDE, 21))])
    began = time.process_time()
    theirs = solve_bvp(rates, ends, t, z, p=np.zeros(WIDE), tol=1e-4, max_nodes=1000)
    seconds = time.process_time() - began
    print(f"wide: solve_bvp: status {theirs.status} ({theirs.message}), {seconds:.1f} s")


def problems_of(eps: float) -> dict[int, tuple]:
    """Number -> z''(t, z, z'), interval, values at its ends, solution."""
    root = np.sqrt(2.0 * eps)
    return {
        1: (
            lambda t, z, d: z / eps,
            (0.0, 1.0),
            (1.0, 0.0),
            lambda t: (np.exp(-t / eps**0.5) - np.exp((t - 2) / eps**0.5)) / (1 - np.exp(-2 / eps**0.5)),
        ),
        3: (
            lambda t, z, d: (
                (
                    -(2 + np.cos(np.pi * t)) * d
                    + z
                    - (1 + eps * np.pi**2) * np.cos(np.pi * t)
                    - (2 + np.cos(np.pi * t)) * np.pi * np.sin(np.pi * t)
                )
                / eps
            ),
            (-1.0, 1.0),
            (-1.0, -1.0),
            lambda t: np.cos(np.pi * t),
        ),
        4: (
            lambda t, z, d: ((1 + eps) * z - d) / eps,
            (-1.0, 1.0),
            (1 + np.exp(-2.0), 1 + np.exp(-2 * (1 + eps) / eps)),
            lambda t: np.exp(t - 1) + np.exp(-(1 + eps) * (1 + t) / eps),
        ),
        5: (
            lambda t, z, d: (
                (t * d + z - (1 + eps * np.pi**2) * np.cos(np.pi * t) + np.pi * t * np.sin(np.pi * t)) / eps
            ),
            (-1.0, 1.0),
            (-1.0, -1.0),
            lambda t: np.cos(np.pi * t),
        ),
        6: (
            lambda t, z, d: (
                (-t * d - eps * np.pi**2 * np.cos(np.pi * t) - np.pi * t * np.sin(np.pi * t)) / eps
            ),
            (-1.0, 1.0),
            (-2.0, 0.0),
            lambda t: np.cos(np.pi * t) + erf(t / root) / erf(1 / root),
        ),
        7: (
            lambda t, z, d: (
                (-t * d + z - (1 + eps * np.pi**2) * np.cos(np.pi * t) - np.pi * t * np.sin(np.pi * t)) / eps
            ),
            (-1.0, 1.0),
            (-1.0, 1.0),
            lambda t: (
                np.cos(np.pi * t)
                + t
                + (t * erf(t / root) + root / np.pi**0.5 * np.exp(-(t**2) / (2 * eps)))
                / (erf(1 / root) + root / np.pi**0.5 * np.exp(-1 / (2 * eps)))
            ),
        ),
        8: (
            lambda t, z, d: -d / eps,
            (0.0, 1.0),
            (1.0, 2.0),
            lambda t: (2 - np.exp(-1 / eps) - np.exp(-t / eps)) / (1 - np.exp(-1 / eps)),
        ),
        10: (
            lambda t, z, d: -t * d / eps,
            (-1.0, 1.0),
            (0.0, 2.0),
            lambda t: 1 + erf(t / root) / erf(1 / root),
        ),
        18: (
            lambda t, z, d: -d / eps,
            (0.0, 1.0),
            (1.0, np.exp(-1 / eps)),
            lambda t: np.exp(-t / eps),
        ),
        20: (
            lambda t, z, d: (1 - d * d) / eps,
            (0.0, 1.0),
            (1 + eps * np.log(np.cosh(-0.745 / eps)), 1 + eps * np.log(np.cosh(0.255 / eps))),
            lambda t: 1 + eps * np.log(np.cosh((t - 0.745) / eps)),
        ),
    }


def problems() -> None:
    """Ten test problems at Rf = ∞, error against work."""
    for number, (second, span, ends, exact) in problems_of(EPS).items():
        y = [[ends[0], NAN], [ends[1], NAN]]
        t = np.linspace(*span, 33)
        line = np.vstack([np.interp(t, span, ends), np.full(33, (ends[1] - ends[0]) / (span[1] - span[0]))])

        def one(tol, second=second, span=span, y=y, line=line):
            return hpcda.boundary_value(
                lambda s, x: [x[1], second(s, x[0], x[1])], span, y, x=line.T, tol=tol
            )

        def other(tol, second=second, ends=ends, t=t, line=line):
            return solve_bvp(
                lambda s, x: np.vstack([x[1], second(s, x[0], x[1])]),
                lambda a, b: np.array([a[0] - ends[0], b[0] - ends[1]]),
                t, line, tol=tol, max_nodes=100_000,
            )  # fmt: skip

        for tol in (1e-4, 1e-8):
            (mine, found), (their, scipys_) = paired(lambda tol=tol: one(tol), lambda tol=tol: other(tol))
            grid = np.linspace(*span, 401)
            error = np.abs(found.x[:, 0] - exact(found.t)).max() if found.solutions else np.nan
            off = np.abs(scipys_.sol(grid)[0] - exact(grid)).max()
            print(
                f"problem {number}: tol {tol:g}: {found.message}, "
                f"N = {found.steps if found.solutions else 0}, {1e3 * mine:.1f} ms, error {error:.1e}; "
                f"solve_bvp status {scipys_.status}, N = {len(scipys_.x) - 1}, {1e3 * their:.1f} ms, "
                f"error {off:.1e}",
                flush=True,
            )


def layers() -> None:
    """Thin layers at Rf = ∞: error against work, and the error of as many equal steps."""
    for number in (1, 4, 6, 7, 8, 10, 18):
        for eps in (1e-3, 1e-4):
            second, span, ends, exact = problems_of(eps)[number]
            y = [[ends[0], NAN], [ends[1], NAN]]
            t = np.linspace(*span, 33)
            line = np.vstack(
                [np.interp(t, span, ends), np.full(33, (ends[1] - ends[0]) / (span[1] - span[0]))]
            )

            def one(second=second, span=span, y=y, line=line, **more):
                return hpcda.boundary_value(
                    lambda s, x: [x[1], second(s, x[0], x[1])], span, y, x=line.T, **more
                )

            def other(tol, second=second, ends=ends, t=t, line=line):
                return solve_bvp(
                    lambda s, x: np.vstack([x[1], second(s, x[0], x[1])]),
                    lambda a, b: np.array([a[0] - ends[0], b[0] - ends[1]]),
                    t, line, tol=tol, max_nodes=100_000,
                )  # fmt: skip

            for tol in (1e-4, 1e-6):
                (mine, found), (their, scipys_) = paired(
                    lambda tol=tol: one(tol=tol), lambda tol=tol: other(tol)
                )
                if not found.solutions:
                    print(f"problem {number}, ε = {eps:g}: tol {tol:g}: {found.message}", flush=True)
                    continue
                error = np.abs(found.x[:, 0] - exact(found.t)).max()
                equal = one(steps=found.steps)
                even = np.abs(equal.x[:, 0] - exact(equal.t)).max() if equal.solutions else np.nan
                off = np.abs(scipys_.sol(found.t)[0] - exact(found.t)).max()
                print(
                    f"problem {number}, ε = {eps:g}: tol {tol:g}: N = {found.steps}, {1e3 * mine:.1f} ms, "
                    f"error {error:.1e}, with equal steps {even:.1e}; solve_bvp N = {len(scipys_.x) - 1}, "
                    f"{1e3 * their:.1f} ms, error {off:.1e}",
                    flush=True,
                )


def bratu() -> None:
    """Both solutions of x'' + exp(x) = 0."""
    for starts in (6, 12, 24):
        began = time.process_time()
        found = hpcda.boundary_value(
            lambda t, x: [x[1], -np.exp(x[0])], [0.0, 1.0], [[0.0, NAN], [0.0, NAN]],
            starts=starts, x_range=[(-1.0, 8.0), (-15.0, 15.0)],
        )  # fmt: skip
        tops = ", ".join(f"{one.x[:, 0].max():.6f}" for one in found.solutions)
        print(
            f"bratu: {starts} starts: largest values {tops} (0.140539 and 4.091467 are right), hits "
            f"{found.hits}, {time.process_time() - began:.1f} s"
        )


def lorenz() -> None:
    """End data and a guess that is 0.3 … 3 off, Newton steps."""

    def rates(t, x):
        return [10.0 * (x[1] - x[0]), x[0] * (28.0 - x[2]) - x[1], x[0] * x[1] - 8.0 / 3.0 * x[2]]

    for span in (2, 8, 24):
        truth = solve_ivp(rates, (0, span), [1.5, 2.0, 20.0], rtol=1e-11, atol=1e-11, dense_output=True).sol
        t = np.linspace(0.0, span, 100 * span + 1)
        ends = [truth(0.0), truth(float(span))]
        for off in (0.3, 1.0, 3.0):
            for rf in (1.0, np.inf):
                guess = truth(t).T + off * np.random.default_rng(3).standard_normal((len(t), 3))
                began = time.process_time()
                found = hpcda.boundary_value(
                    rates, [0.0, float(span)], ends, noise_std=0.5, rf=rf, x=guess, steps=100 * span
                )
                seconds = time.process_time() - began
                print(
                    f"lorenz: T = {span}, Rf = {rf:g}, guess off by {off:g}: {found.message}, "
                    f"{found.niter} Newton steps, {1e3 * seconds:.0f} ms"
                )


if __name__ == "__main__":
    for name in sys.argv[1:] or ["order", "speed", "problems", "layers", "bratu", "lorenz", "wide"]:
        globals()[name]()
