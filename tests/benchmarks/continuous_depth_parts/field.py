"""A field between two linear layers, trained by diffrax and optax. Needs JAX, diffrax and optax alone.

    python field.py DATA.npz FOUND.npz SEED

DATA.npz holds pairs (x, y one-hot), held-out pairs, and the settings of the job: units, time, steps, scheme,
weights, and the precisions of its priors. The same action is minimized, with the same steps (diffrax's Euler
or Midpoint with N constant steps; derivatives through the steps), double precision:

    Σ cross entropy + ½ |θ|²_prior + ½ Σ |W(n)|² h / weight_std² + ½ Σ |W(n+1) - W(n)|² / (h walk_std²)

First by Adam with a rate that falls like a cosine, as fields are trained, then by L-BFGS (optax).
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
ADAM, RATE, LBFGS = 3000, 1e-2, 1000
SOLVERS = {"euler": diffrax.Euler, "midpoint": diffrax.Midpoint}


def main() -> None:
    """Read, train, write."""
    given, to, seed = dict(np.load(sys.argv[1])), sys.argv[2], int(sys.argv[3])
    x, y, back, wanted = (jnp.array(given[key]) for key in ("x", "y", "back", "wanted"))
    time_end, steps, units = float(given["time"]), int(given["steps"]), int(given["units"])
    h, count = time_end / steps, int(given["matrices"])
    size, walk, ends = float(given["size"]), float(given["walk"]), float(given["ends"])
    solver = SOLVERS[str(given["scheme"])]()
    rng = np.random.default_rng(seed)

    def drawn(rows: int, columns: int) -> np.ndarray:
        width = np.sqrt(6.0 / (rows + columns))
        return rng.uniform(-width, width, (rows, columns))

    p = {
        "W_in": drawn(units, x.shape[1]), "b_in": np.zeros(units),
        "W": np.repeat(drawn(units, units)[None], count, axis=0), "b": np.zeros((count, units)),
        "W_out": drawn(y.shape[1], units), "b_out": np.zeros(y.shape[1]),
    }  # fmt: skip
    p = jax.tree.map(jnp.array, p)

    def rates(t, s, p):
        n = 0 if count == 1 else jnp.clip(jnp.floor(t / h + 1e-6).astype(int), 0, steps - 1)
        return jnp.tanh(s @ p["W"][n].T + p["b"][n])

    def outputs(p, x):
        begin = x @ p["W_in"].T + p["b_in"]
        end = diffrax.diffeqsolve(
            diffrax.ODETerm(rates), solver, 0.0, time_end, h, begin, p,
            stepsize_controller=diffrax.ConstantStepSize(), max_steps=steps + 1,
            saveat=diffrax.SaveAt(t1=True), adjoint=diffrax.RecursiveCheckpointAdjoint(),
        ).ys[0]  # fmt: skip
        return end @ p["W_out"].T + p["b_out"]

    def loss(p):
        entropy = -jnp.sum(y * jax.nn.log_softmax(outputs(p, x)))
        before = sum(jnp.sum(p[key] ** 2) for key in ("W_in", "b_in", "W_out", "b_out"))
        field = sum(jnp.sum(p[key] ** 2) for key in ("W", "b"))
        changes = sum(jnp.sum(jnp.diff(p[key], axis=0) ** 2) for key in ("W", "b"))
        return entropy + 0.5 * (ends * before + size * field + walk * changes)

    if "theta" in given:  # the value and the gradient at weights of ours, and no training
        flat, first, own = given["theta"], 0, {}
        order = ["W_in", "b_in", *[(key, n) for n in range(count) for key in "Wb"], "W_out", "b_out"]
        parts = {key: np.zeros(p[key].shape) for key in p}
        for key in order:
            place = parts[key] if isinstance(key, str) else parts[key[0]][key[1]]
            place[...] = flat[first : first + place.size].reshape(place.shape)
            first += place.size
        value, slope = jax.value_and_grad(loss)(jax.tree.map(jnp.array, parts))
        own = [slope[key] if isinstance(key, str) else slope[key[0]][key[1]] for key in order]
        np.savez(to, value=float(value), gradient=np.concatenate([np.ravel(one) for one in own]))
        return

    began = time.process_time()
    adam = optax.adam(optax.cosine_decay_schedule(RATE, ADAM))

    @jax.jit
    def moved(p, state):
        value, slope = jax.value_and_grad(loss)(p)
        moves, state = adam.update(slope, state)
        return optax.apply_updates(p, moves), state, value

    state = adam.init(p)
    for _ in range(ADAM):
        p, state, value = moved(p, state)
    first, seconds = float(loss(p)), time.process_time() - began
    lbfgs = optax.lbfgs()
    both = optax.value_and_grad_from_state(loss)

    @jax.jit
    def further(p, state):
        value, slope = both(p, state=state)
        moves, state = lbfgs.update(slope, state, p, value=value, grad=slope, value_fn=loss)
        return optax.apply_updates(p, moves), state, value

    state, before = lbfgs.init(p), np.inf
    for k in range(LBFGS):
        p, state, value = further(p, state)
        if k % 50 == 49:
            if before - float(value) < 1e-8 * float(value):
                break
            before = float(value)
    right = float(jnp.mean(jnp.argmax(outputs(p, back), axis=1) == jnp.argmax(wanted, axis=1)))
    nats = float(-jnp.mean(jnp.sum(wanted * jax.nn.log_softmax(outputs(p, back)), axis=1)))
    np.savez(to, adam=first, adam_seconds=seconds, level=float(loss(p)), right=right, nats=nats,
             seconds=time.process_time() - began)  # fmt: skip


if __name__ == "__main__":
    main()
