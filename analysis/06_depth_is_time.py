# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Depth is time
#
# A residual network of $N$ layers, $x_{n+1} = x_n + h\,g(W_n x_n + b_n)$ with $h = T/N$, is Euler's method
# for $\dot x = g(W(t)\,x + b(t))$. More layers are shorter steps: to make a network deeper is what refining
# the time step is to a model. This page refines both, from a coarse solution to a fine one.

# %%
import matplotlib.pyplot as plt
import numpy as np
from scipy.integrate import solve_ivp

import hpcda
from hpcda.action.continuum import Continuum
from hpcda.action.exact_network import ExactNetwork
from hpcda.action.network import Network
from hpcda.search.deepening import deepened
from hpcda.search.refinement import limit_of

# %% [markdown]
# ## Is my time step fine enough?
#
# A damped pendulum, its angle measured 41 times, and one trapezoid step from sample to sample.


# %%
def pendulum(x, p):
    return [x.speed, -p.stiffness * np.sin(x.angle) - p.damping * x.speed]


model = hpcda.Model(
    "pendulum",
    (hpcda.State("angle", range=(-2.0, 2.0)), hpcda.State("speed", range=(-2.0, 2.0))),
    (hpcda.Parameter("stiffness", 1.0), hpcda.Parameter("damping", 0.1)),
    pendulum,
)
t = np.linspace(0.0, 12.0, 41)
true = solve_ivp(lambda _, x: [x[1], -np.sin(x[0]) - 0.1 * x[1]], (0, 12), [1.2, 0.0], t_eval=t, rtol=1e-9)
y = true.y[0] + 0.02 * np.random.default_rng(1).normal(size=len(t))
problem = hpcda.Problem(
    model,
    t,
    {"angle": y},
    0.02,
    estimate={"stiffness": (0.5, 2.0), "damping": (0.0, 0.5)},
    discretization="trapezoid",
    steps_per_sample=1,
    model_error="per time",
)
result = hpcda.anneal(problem, starts=4, ladder=hpcda.Ladder(rf0=1.0, alpha=10.0, rungs=8))
print(f"Verdict: {result.verdict.code}")

# %% [markdown]
# `refine` solves the candidate again at 2, 4, 8 and 16 steps from sample to sample, each time from the path
# found before. With `model_error = "per time"`, $R_f$ stays as it is; where a problem says "per step" (the
# default), it is multiplied by 2 at each level, so that the problem refined is that of continuous time.

# %%
found = result.refine(levels=5)
for level in found.levels:
    print(level.steps, round(level.action, 5), {k: round(v, 6) for k, v in level.parameters.items()})
for name, limit in found.limits.items():
    print(name, limit)

# %%
result.plot.refinement(5)
plt.show()

# %% [markdown]
# The true values are 1 and 0.1.

# %%
steps = [level.steps for level in found.levels]
plt.plot(steps, [level.parameters["stiffness"] for level in found.levels], "o-", label="estimate")
plt.axhline(found.limits["stiffness"].value, ls=":", color="k", label="limit")
plt.axhline(1.0, color="C1", label="truth")
plt.xscale("log", base=2)
plt.xlabel("steps per sample")
plt.ylabel("stiffness")
plt.legend()
plt.show()

# %% [markdown]
# ## A shallow network grown into a deep one
#
# The teacher is a field of three units; its outputs are two of them at $T = 2$. A network of 5 steps is
# trained first, then its weights are interpolated in $t$ for 10 steps, trained again, and so on. The
# prior on the change of its weights $W(t)$ is an integral over time, so that the problem stays the same when
# steps become finer.

# %%
A = np.array([[0.9, -1.1, 0.3], [0.7, 0.2, -0.8], [-0.4, 0.6, 0.5]])
B = np.array([[0.3, 0.2, -0.5], [0.1, -0.4, 0.6], [0.5, 0.3, -0.2]])
rng = np.random.default_rng(1)
inputs = rng.normal(size=(100, 3))


def rates(t, x):
    return np.tanh(x.reshape(-1, 3) @ (A + np.sin(1.5 * t) * B).T).ravel()


outputs = solve_ivp(rates, (0.0, 2.0), inputs.ravel(), rtol=1e-9).y[:, -1].reshape(-1, 3)[:, :2]
measured = outputs + 0.2 * rng.normal(size=outputs.shape)
continuum = Continuum(time=2.0, steps=5, scheme="midpoint", weights="walk", walk_std=0.5)
activations = [np.tanh] * continuum.layers + [lambda z: z]
network = Network(
    continuum.widths(3, 3, 2), activations, inputs, measured, 0.2, weight_std=1.0, continuum=continuum
)
first = network.alike(rng.uniform(-0.1, 0.1, ExactNetwork(network).size))
depths = deepened(network, first, steps=(5, 10, 20, 40))
for one in depths:
    print(one.steps, f"action {one.rung.action:.4f}", one.rung.reason.name)
print(limit_of(np.array([one.rung.action for one in depths]), order=2))

# %%
plt.plot([one.steps for one in depths], [one.rung.action for one in depths], "o-")
plt.xscale("log", base=2)
plt.xlabel("steps")
plt.ylabel("action")
plt.show()

# %% [markdown]
# `order` above is what the last three depths show, where the midpoint rule has 2. Far from 2 the levels are
# not yet in the range where the error goes as one power of the step: the limit is then an estimate with a
# wide error.
#
# One weight as a function of $t$, at each depth:

# %%
for one in depths:
    inner = one.action.matrices(one.rung.path)[:-1]
    at = one.action.network.continuum.times
    plt.plot(at, [matrix[0, 0] for matrix, _ in inner], ".-", label=f"{one.steps} steps")
plt.xlabel("t")
plt.ylabel("$W_{11}(t)$")
plt.legend()
plt.show()
