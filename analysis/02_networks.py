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
# # A network is data assimilation
#
# A layer is a time. Training pairs are windows of data, measured at the first time and at the last; what
# carries $x(n)$ to $x(n+1)$ is the layer, whose weights all windows share (H. Abarbanel, P. Rozdeba,
# S. Shirman, Neural Computation 30, 2025, 2018). With exact inputs the action of weights and units is
#
# $$A = \sum_m \Big\{ \frac{|x_N^m - y^m|^2}{2\sigma^2}
#      + \frac{R_f}{2} \sum_n \big|x_{n+1}^m - g(W_n x_n^m + b_n)\big|^2 \Big\} .$$
#
# This page looks at one network from both sides. Data assimilation climbs in $R_f$, with all units free;
# machine learning obeys the layers exactly and follows the gradient that back-propagation computes. Where
# $R_f \to \infty$ they are the same, and the multipliers of the one are the forces of the other.

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Image, display
from scipy.optimize import minimize

import hpcda
from hpcda.action.exact_network import ExactNetwork
from hpcda.action.network import Network
from hpcda.analysis.analyze import format_summary
from hpcda.annealing import Ladder
from hpcda.annealing.climbs import Settings, climb
from hpcda.annealing.exact import descend
from hpcda.annealing.graph import GraphLockstep

# %% [markdown]
# ## Pairs
#
# A network of layers 2-3-1 with weights that we draw makes 12 pairs; noise of 0.05 is added to its outputs.

# %%
rng = np.random.default_rng(4)
widths, noise, pairs = (2, 3, 1), 0.05, 12
inputs = rng.normal(size=(pairs, 2))
layers = (np.tanh, lambda z: z)
blank = Network(widths, layers, inputs, np.zeros((pairs, 1)), noise, weight_std=3.0)
truth = rng.normal(size=blank.weights)
clean = ExactNetwork(blank).states(truth)[-1]
network = Network(widths, layers, inputs, clean + noise * rng.normal(size=clean.shape), noise, weight_std=3.0)
print(f"{network.weights} weights and biases, {pairs} pairs")

# %% [markdown]
# ## The side of data assimilation
#
# All hidden units and outputs of all pairs are unknowns beside the weights. A path climbs from a small $R_f$,
# rung by rung, each minimized from the one before with the exact sparse Hessian.

# %%
graph = network.action()
ladder = Ladder(1.0, 4.0, 13)
start = np.concatenate([np.zeros(graph.size - network.weights), rng.uniform(-1, 1, network.weights)])
(rungs,) = (
    outcomes for outcomes in climb(GraphLockstep(graph, ladder, 1, Settings(rung_tolerance=1e-12)), [start])
)
action = np.array([rung.parts.total for rung in rungs])
model = np.array([rung.parts.model for rung in rungs])
print(f"{graph.size} unknowns; action at the last rung, Rf = {ladder.rf[-1]:.3g}: {action[-1]:.6f}")

# %% [markdown]
# ## The side of machine learning
#
# The same weights, the layers obeyed exactly: only the weights are unknown. `gradient` is back-propagation.
# L-BFGS follows it from where the ladder ended, and `descend` from the same point by Newton's method.

# %%
exact = ExactNetwork(network)
weights = rungs[-1].path[-network.weights :]
trained = minimize(exact.gradient, weights, jac=True, method="L-BFGS-B", options={"maxiter": 5000, "ftol": 0})
limit = descend(exact, weights)
print(
    f"L-BFGS {trained.fun:.6f}, Newton {limit.parts.total:.6f}, A + model part {action[-1] + model[-1]:.6f}"
)

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
left.semilogx(ladder.rf, action, "o-", ms=4, label="$A$")
left.semilogx(ladder.rf, action + model, "s-", ms=3, label="$A$ + its model part")
left.axhline(limit.parts.total, color="k", lw=0.8, ls="--", label=r"back-propagation, $R_f = \infty$")
left.set_xlabel("$R_f$")
left.set_ylabel("action")
left.legend(frameon=False)
misses = np.abs(action + model - limit.parts.total)
right.loglog(ladder.rf, np.abs(action - limit.parts.total), "o-", ms=4, label="$A$")
right.loglog(ladder.rf, misses, "s-", ms=3, label="$A$ + its model part")
right.set_xlabel("$R_f$")
right.set_ylabel(r"distance to the limit")
right.legend(frameon=False)
plt.show()

# %% [markdown]
# Around $R_f = 10^3$ the minimum that the path has followed ends, and the path falls into another. From
# there on $A$ comes to the limit like $1/R_f$, and with its model part added like $1/R_f^2$, since
# $dA/dR_f$ at a minimum is the model part over $R_f$.
#
# ## Momentum is back-propagation
#
# The multiplier of a layer's rule, $\lambda_{n+1} = R_f\,(x_{n+1} - g(W_n x_n + b_n))$ with the opposite
# sign, is the discrete momentum of the path. Back-propagation computes the same numbers from the last layer
# backwards: $\lambda_N = \partial\phi/\partial x_N$, $\lambda_n = W_n^T D_n \lambda_{n+1}$.

# %%
last = rungs[-1].path
units = np.split(last[: -network.weights].reshape(pairs, -1), np.cumsum(widths[1:-1]), axis=1)
momenta = []
for n, (matrix, bias) in enumerate(exact.weights(last[-network.weights :])):
    before = inputs if n == 0 else units[n - 1]
    momenta.append(-ladder.rf[-1] * (units[n] - layers[n](before @ matrix.T + bias)))
forces = exact.multipliers(limit.path)
figure, axes = plt.subplots(figsize=(4, 3.6), layout="constrained")
for n, (momentum, force) in enumerate(zip(momenta, forces, strict=True)):
    axes.plot(force.ravel(), momentum.ravel(), "o", ms=4, label=f"layer {n + 1}")
ends = np.array([min(f.min() for f in forces), max(f.max() for f in forces)])
axes.plot(ends, ends, color="k", lw=0.7)
axes.set_xlabel("back-propagated force")
axes.set_ylabel("momentum of the path")
axes.legend(frameon=False)
plt.show()
scale = max(np.abs(f).max() for f in forces)
worst = max(np.abs(m - f).max() for m, f in zip(momenta, forces, strict=True)) / scale
print(f"largest difference {worst:.1e} of the largest force")

# %% [markdown]
# ## Is the level global?
#
# What data assimilation adds is the question whether a level is the lowest. A job asks it for a network as
# for a differential equation: many starts of several kinds, distinct minima counted in canonical form, a
# verdict. Here a teacher of layers 3-4-2 makes 200 pairs; 100 more are kept back.

# %%
folder = Path(tempfile.mkdtemp()) / "run"
job = {
    "network": {"hidden": [4]},
    "twin": {"inputs": 3, "outputs": 2, "pairs": 200, "hold_back": 100, "noise_std": 0.02, "seed": 3},
    "ensemble": {"starts": 20},
}
hpcda.run(job, output=folder, quiet=True)
summary = hpcda.analysis.analyze(folder, processes=0)
print(format_summary(summary))

# %%
run = hpcda.open_run(folder)
display(Image(folder / "analysis" / "outputs.png", width=420))
run.weights()

# %% [markdown]
# `run.predict` gives outputs for new inputs, `run.held_back` how well it did on pairs that were never
# trained.

# %%
print(run.predict(np.zeros(3)).values, run.held_back)
