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
# # A network from arrays
#
# 300 points of a plane were measured with noise: what a function gives there, which the network is to learn.
# Everything happens in this process: no files, no MPI, no PETSc.

# %%
import matplotlib.pyplot as plt
import numpy as np

import hpcda

rng = np.random.default_rng(1)


def truth(x):
    return np.tanh(1.5 * x[:, 0] + 0.5 * x[:, 1]) - 0.8 * np.tanh(x[:, 0] - 2.0 * x[:, 1] + 0.5)


x = rng.uniform(-2.0, 2.0, (300, 2))
y = truth(x) + 0.1 * rng.standard_normal(300)

# %% [markdown]
# These are the arrays. A search draws first weights in all its ways, descends from each with the layers
# obeyed exactly, and ends as soon as independent starts have come to a level that noise explains.

# %%
problem = hpcda.NetworkProblem(x, y, noise_std=0.1, hidden=[2], weight_std=3.0, hold_back=100)
result = hpcda.anneal(problem, starts=40, seed=1)
print("Verdict:", result.verdict.code, "-", result.message)
result

# %% [markdown]
# Names are those of SciPy; weights, minima and predictions are labeled arrays.

# %%
print(f"fun {result.fun:.2f}, {result.x.size} weights and biases, {result.nit} iterations of all starts")
print(f"root mean square error of pairs held back: {result.held_back.rmse:.3f}, noise 0.1")
result.weights()

# %%
result.plot.actions()

# %% [markdown]
# Outputs against what was measured: pairs that were trained, and pairs that the network has not seen.

# %%
result.plot.outputs()

# %% [markdown]
# What it says along a line, beside the function.

# %%
line = np.column_stack([np.linspace(-2.0, 2.0, 200), np.zeros(200)])
_, axes = plt.subplots(figsize=(7.0, 3.0), layout="constrained")
axes.plot(line[:, 0], result.predict(line).sel(output="y0"), label="network")
axes.plot(line[:, 0], truth(line), "k--", lw=1, label="truth")
axes.set_xlabel("$x_0$, at $x_1 = 0$")
axes.legend()

# %% [markdown]
# With six units in place of two the pairs leave open which network it was: many fit to within the noise.

# %%
wider = hpcda.anneal(problem.replace(hidden=[6]), starts=40, seed=1)
print("Verdict:", wider.verdict.code, "-", wider.message)
wider.minima
