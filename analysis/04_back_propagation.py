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
# # Back-propagation is the momentum
#
# Let the layers of a residual network be the times of a path, $x_{n+1} = x_n + h\,(\ldots)$. In the limit of
# many layers the action is
#
# $$A = \int \frac{R_f}{2}\,|\dot x - F(x, t)|^2\,dt + \text{data},$$
#
# and a path of least action has a momentum, $p = R_f\,(\dot x - F)$. Between data it obeys Hamilton's
# equations
#
# $$\dot x = F + p/R_f, \qquad \dot p = -\,(\partial F/\partial x)^T p,$$
#
# at a datum $p$ jumps by $R_m (x - y)$, and it is 0 before the first and after the last one (H. Abarbanel,
# P. Rozdeba, S. Shirman, Neural Computation 30, 2025, 2018). For $R_f \to \infty$ the first equation is the
# network, run forward, and the second is back-propagation. This page shows it in numbers.

# %%
import matplotlib.pyplot as plt
import numpy as np

import hpcda

# %% [markdown]
# ## A network of 40 layers
#
# Three units, $F = \tanh(W(t)\,x + b)$ with weights that change from layer to layer, each layer a step of
# Heun's method. One pair is known: an input and an output, both measured with noise of 0.5.

# %%
A = np.array([[0.9, -1.1, 0.3], [0.7, 0.2, -0.8], [-0.4, 0.6, 0.5]])
B = np.array([[0.3, 0.2, -0.5], [0.1, -0.4, 0.6], [0.5, 0.3, -0.2]])
b = np.array([0.1, -0.2, 0.3])


def weights(t, swing=1.0):
    return A + swing * np.sin(1.5 * t) * B


def field(x, p, u, t):
    rows = [[A[i, j] + np.sin(1.5 * t) * B[i, j] for j in range(3)] for i in range(3)]
    return [np.tanh(sum(rows[i][j] * x[j] for j in range(3)) + b[i]) for i in range(3)]


states = tuple(hpcda.State(name, range=(-2.0, 2.0)) for name in "xyz")
model = hpcda.Model("residual network", states, (), field)

layers, noise = 40, 0.5
t = np.linspace(0.0, 2.0, layers + 1)
h = t[1]
first, last = np.array([0.5, -0.3, 0.8]), np.array([2.0, 0.9, 1.2])
y = np.full((layers + 1, 3), np.nan)
y[0], y[-1] = first, last


def pair(t, y, model=model, **options):
    values = {name: y[:, k] for k, name in enumerate("xyz")}
    options = {"discretization": "heun", "steps_per_sample": 1, "model_error": "per time"} | options
    return hpcda.Problem(model, t, values, noise, gaps=True, **options)


# %% [markdown]
# `model_error = "per time"` says that $R_f$ stands in front of the integral above. The ladder ends at
# $R_f = \infty$, where the layers are obeyed exactly.

# %%
result = hpcda.anneal(pair(t, y), starts=4, ladder=hpcda.Ladder(rf0=1.0, alpha=10.0, rungs=5, end="infinity"))
print(f"Verdict: {result.verdict.code}. Action {result.fun:.6f}")
result.momentum

# %% [markdown]
# ## The same network, forward and backward
#
# Now without hpcda: run the network forward from the first state that was found, and back-propagate the
# derivative of the output's loss, with the chain rule written out.


# %%
def rate(x, t):
    return np.tanh(weights(t) @ x + b)


def slope(x, t):
    return (1.0 - rate(x, t) ** 2)[:, None] * weights(t)


def forward(x):
    path = [x]
    for n in range(layers):
        k = rate(path[-1], t[n])
        path.append(path[-1] + h / 2 * (k + rate(path[-1] + h * k, t[n + 1])))
    return np.array(path)


def backward(path):
    pull = [(path[-1] - last) / noise**2]
    for n in reversed(range(layers)):
        x, k = path[n], rate(path[n], t[n])
        first_stage = slope(x, t[n])
        second_stage = slope(x + h * k, t[n + 1]) @ (np.eye(3) + h * first_stage)
        pull.append((np.eye(3) + h / 2 * (first_stage + second_stage)).T @ pull[-1])
    return np.array(pull[::-1])


path = forward(result.x[:3])
pull = backward(path)
momentum = result.momentum.leaving.values[:-1]
print(f"states apart by {np.abs(result.x.reshape(-1, 3) - path).max():.1e}")
print(f"momentum and minus the back-propagated derivative: {np.abs(momentum + pull[:-1]).max():.1e}")

# %%
figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
result.plot.momentum(ax=axes)
for k in range(3):
    axes.plot(t, -pull[:, k], "k.", ms=3, label="back-propagated" if k == 0 else None)
axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
plt.show()

# %% [markdown]
# Lines are the momentum of the path, dots minus the derivative of the loss that back-propagation gives: the
# same to rounding. It begins at $R_m\,(x_0 - y_0)$, since the input is a datum too, and ends at
# $-R_m\,(x_N - y_N)$. At the minimum both ends agree: that is what training has to bring about.
#
# ## At a finite precision of the layers
#
# Below infinity the layers are obeyed up to $p/R_f$. Path and momentum come to those of the network as
# $1/R_f$.

# %%
powers = np.arange(2, 9)
apart = []
for power in powers:
    found = hpcda.anneal(pair(t, y), starts=1, ladder=hpcda.Ladder(rf0=1.0, alpha=10.0, rungs=int(power) + 1))
    path = forward(found.x[:3])
    gaps = found.x.reshape(-1, 3) - path, found.momentum.leaving.values[:-1] + backward(path)[:-1]
    apart.append([np.abs(one).max() for one in gaps])
apart = np.array(apart)

# %%
figure, axes = plt.subplots(figsize=(4.2, 3.2), layout="constrained")
axes.loglog(10.0**powers, apart[:, 0], "o-", ms=4, label="path to the forward pass")
axes.loglog(10.0**powers, apart[:, 1], "s-", ms=4, label="momentum to back-propagation")
axes.set_xlabel("$R_f$")
axes.set_ylabel("largest difference")
axes.legend(frameon=False)
plt.show()
print("slopes", np.polyfit(powers, np.log10(apart), 1)[0].round(3))

# %% [markdown]
# ## Data on the way, and the energy
#
# Where units of inner layers are measured as well, the momentum jumps there. With weights that do not change
# from layer to layer the energy
#
# $$H = p \cdot F + \frac{|p|^2}{2 R_f}$$
#
# is the same from one datum to the next.


# %%
def constant(x, p):
    return [np.tanh(sum(A[i, j] * x[j] for j in range(3)) + b[i]) for i in range(3)]


steady = hpcda.Model("constant weights", states, (), constant)
rng = np.random.default_rng(5)
inner = np.full((layers + 1, 3), np.nan)
inner[::8] = np.linspace(first, last, 6) + 0.3 * rng.normal(size=(6, 3))
few = hpcda.anneal(
    pair(t, inner, steady, discretization="implicit-midpoint"),
    starts=4,
    ladder=hpcda.Ladder(rf0=0.1, alpha=10.0, rungs=3),
)
figure, (upper, lower) = plt.subplots(2, 1, figsize=(7, 4.4), sharex=True, layout="constrained")
few.plot.momentum(ax=upper)
few.plot.energy(ax=lower)
upper.set_xlabel("")
plt.show()
energy = few.energy
change = np.abs(energy.arriving.values[1:] - energy.leaving.values[:-1]).max()
print(f"energy up to {np.abs(energy.energy).max():.2f}; largest change from layer to layer {change:.1e}")

# %% [markdown]
# ## Depth is the step
#
# Twice as many layers are a finer step. With the model error per time the level settles; per step the same
# $R_f$ is a weaker condition on each layer the more layers there are, and the level falls.

# %%
depths = np.array([10, 20, 40, 80])
levels = {kind: [] for kind in ("per time", "per step")}
for kind, found in levels.items():
    for depth in depths:
        times = np.linspace(0.0, 2.0, depth + 1)
        ends = np.full((depth + 1, 3), np.nan)
        ends[0], ends[-1] = first, last
        problem = pair(times, ends, discretization="trapezoid", model_error=kind)
        rf0 = 0.01 if kind == "per time" else 0.01 / 0.2
        found.append(hpcda.anneal(problem, starts=1, ladder=hpcda.Ladder(rf0=rf0, alpha=10.0, rungs=3)).fun)

# %%
figure, axes = plt.subplots(figsize=(4.2, 3.0), layout="constrained")
for kind, found in levels.items():
    axes.semilogx(depths, found, "o-", ms=4, label=f"model error {kind}")
axes.set_xticks(depths, [str(depth) for depth in depths])
axes.minorticks_off()
axes.set_xlabel("layers")
axes.set_ylabel("action")
axes.set_ylim(bottom=0.0)
axes.legend(frameon=False)
plt.show()
settled = np.array(levels["per time"])
print("order of convergence", np.log2(np.diff(settled)[:-1] / np.diff(settled)[1:]).round(2))
