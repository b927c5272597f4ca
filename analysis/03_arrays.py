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
# # From arrays to error bars
#
# Two states of Lorenz 1963 were measured with noise, the third was not, and the parameter $\rho$ is unknown.
# Everything happens in this process: no files, no MPI, no PETSc (`pip install .` is enough).

# %%
import numpy as np

import hpcda
from hpcda.models.catalogue import load_model
from hpcda.models.twin import simulate

t = 0.02 * np.arange(101)
truth = simulate(load_model("lorenz63"), {"rho": 28.0}, [-5.0, -8.0, 20.0], t)
x, z = (truth[:, [0, 2]] + 0.7 * np.random.default_rng(1).standard_normal((101, 2))).T

# %% [markdown]
# These are the arrays; the rest is ten lines. `way="uniform"` is the plain ensemble of the papers; without it
# hpcda searches with all its starting strategies, and ends as soon as its conclusion is stable.

# %%
problem = hpcda.Problem(
    "lorenz63", t, {"x": x, "z": z}, noise_std=0.7, estimate={"rho": (20, 40)}, steps_per_sample="auto"
)
result = hpcda.anneal(problem, starts=32, seed=1, way="uniform", ladder=hpcda.Ladder(rungs=20, alpha=3.0))
print("Verdict:", result.verdict.code, "-", result.message)
result.parameters.to_dataframe()

# %% [markdown]
# Action levels of all starts on their way up the ladder; the grey band is what noise alone gives.

# %%
result.plot.levels()

# %% [markdown]
# The candidate in the state that was not measured, with its own error bars. The truth is drawn beside it.

# %%
axes = result.plot.path("y")
axes.plot(t, truth[:, 1], "k--", lw=1)

# %%
result.plot.parameter("rho")

# %% [markdown]
# Estimates, error bars and predictions are labeled arrays.

# %%
y = result.error_bars().sel(state="y").sel(time=t, method="nearest")
error = abs(y["estimate"].values - truth[:, 1]).mean()
print(f"y, at all times: mean error {error:.3f}, mean standard deviation {float(y['std'].mean()):.3f}")
result

# %%
result.minima
