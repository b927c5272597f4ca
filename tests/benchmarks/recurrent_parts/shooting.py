"""A neural ODE in diffrax by multiple shooting, on data in an npz file. Needs JAX, diffrax and optax alone.

    python shooting.py DATA.npz FOUND.npz SEED

The equations of jobs/recurrent/field.py. Segments of ten samples begin at states of their own, y too. By
Adam, in stages of a growing weight w of the gaps, the negative log posterior with gaps is minimized,

    ½ Σ misfit²/σ² + ½ Σ weights²/std² + ½ w Σ gap²/σ²

Solver: Tsit5, adaptive, derivatives by its steps (RecursiveCheckpointAdjoint), double precision.
"""

from __future__ import annotations

import sys
import time

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import optax

jax.config.update("jax_enable_x64", True)
SEGMENT, STEPS, RATE = 10, 1500, 1e-2
WEIGHTS = (0.1, 1.0, 10.0, 100.0)
"""Of gaps, stage after stage, each of so many steps of Adam with a rate that falls like a cosine."""
STD = {"W1": 1.0, "b1": 1.0, "W2": 5.0, "b2": 5.0}
"""Standard deviations of the job's priors."""


def rates(t, s, p):
    """The vector field."""
    scaled = (s - jnp.array([0.0, 0.0, 25.0])) / 10.0
    net = p["W2"] @ jnp.tanh(p["W1"] @ scaled + p["b1"]) + p["b2"]
    return jnp.concatenate([10.0 * (s[1:2] - s[:1]), 10.0 * net])


def along(p, begin, times):
    """States at times, shape (times, 3)."""
    return diffrax.diffeqsolve(
        diffrax.ODETerm(rates), diffrax.Tsit5(), times[0], times[-1], 0.01, begin, p,
        saveat=diffrax.SaveAt(ts=times), max_steps=4096, throw=False,
        stepsize_controller=diffrax.PIDController(rtol=1e-5, atol=1e-5),
    ).ys  # fmt: skip


def main() -> None:
    """Read, train, forecast, write."""
    given, to, seed = np.load(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    data, dt, sigma, steps, units = (given[k] for k in ("data", "dt", "noise_std", "steps", "units"))
    rng = np.random.default_rng(seed)
    p = {
        "W1": rng.uniform(-1.0, 1.0, (int(units), 3)),
        "b1": rng.uniform(-1.0, 1.0, int(units)),
        "W2": rng.uniform(-1.0, 1.0, (2, int(units))),
        "b2": np.zeros(2),
    }
    segments = (len(data) - 1) // SEGMENT
    used = segments * SEGMENT
    begin = np.column_stack([data[:used:SEGMENT, 0], data[:used:SEGMENT, 0], data[:used:SEGMENT, 1]])
    wanted = jnp.array([data[k * SEGMENT : (k + 1) * SEGMENT + 1] for k in range(segments)])
    times = float(dt) * jnp.arange(SEGMENT + 1)
    shoot = jax.vmap(along, (None, 0, None))

    def loss(unknown, weight):
        p, begin = unknown
        path = shoot(p, begin, times)
        misfit = jnp.sum(((path[:, :-1, ::2] - wanted[:, :-1]) / sigma) ** 2)
        misfit += jnp.sum(((path[-1, -1, ::2] - wanted[-1, -1]) / sigma) ** 2)
        gaps = jnp.sum(((path[:-1, -1] - begin[1:]) / sigma[0]) ** 2)
        prior = sum(jnp.sum((p[name] / std) ** 2) for name, std in STD.items())
        return 0.5 * (misfit + prior + weight * gaps), gaps

    unknown = jax.tree.map(jnp.array, (p, begin))
    began = time.process_time()
    for weight in WEIGHTS:
        adam = optax.adam(optax.cosine_decay_schedule(RATE, STEPS))

        @jax.jit
        def step(unknown, state, weight=weight, adam=adam):
            (value, gaps), slope = jax.value_and_grad(loss, has_aux=True)(unknown, weight)
            moves, state = adam.update(slope, state)
            return optax.apply_updates(unknown, moves), state, value, gaps

        state = adam.init(unknown)
        for _ in range(STEPS):
            unknown, state, value, gaps = step(unknown, state)
    p, begin = unknown
    path = shoot(p, begin, times)
    after = along(p, path[-1, -1], float(dt) * jnp.arange(len(data) - used + int(steps)))
    whole = np.concatenate([np.asarray(path[:, :-1]).reshape(-1, 3), np.asarray(after)])
    np.savez(to, path=whole, loss=float(value), gaps=float(gaps), seconds=time.process_time() - began)


if __name__ == "__main__":
    main()
