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
# # Action levels: has the ensemble found the answer?
#
# A model $\dot x = F(x, p)$ has been fitted to noisy measurements of a few of its states. The probability
# of a path $X = \{x(0), \dots, x(N-1), p\}$ given the data is $P(X | Y) \propto e^{-A(X)}$, with the action
#
# $$A(X) = \frac12 \sum_{n, l} \frac{(y_l(n) - h_l(x(n)))^2}{\sigma_l^2}
#        + \frac{R_f}{2} \sum_{n, a} s_a \Big(x_a(n+1) - x_a(n) - \int F_a\,dt\Big)^2 .$$
#
# $A$ has many minima. Precision annealing follows each of many starts from a small $R_f$, where the minimum
# is trivial, up a ladder $R_f = R_{f0}\,\alpha^\beta$ (J. Ye et al., Nonlin. Processes Geophys. 22, 205,
# 2015). This page reads what such an ensemble left behind and asks whether its lowest level is the global
# minimum.
#
# Run any job first, such as `hpcda run jobs/lorenz96/short.toml --output runs/lorenz96`, then open this
# page with `HPCDA_RUN=runs/lorenz96 jupyter lab analysis/01_action_levels.py`. On a cluster, put the
# address of a Dask scheduler into `HPCDA_SCHEDULER`; otherwise this notebook's own process reads the run.

# %%
import os
import tempfile
from pathlib import Path

import numpy as np
from IPython.display import Image, display

import hpcda
from hpcda.analysis.figures import draw_final_actions, draw_levels, draw_parameters, draw_paths
from hpcda.analysis.parallel import workers
from hpcda.analysis.summary import summarize
from hpcda.analysis.summary_text import format_summary
from hpcda.search.evidence import facts

run = hpcda.open_run(os.environ.get("HPCDA_RUN", "runs/lorenz96"))
pictures = Path(tempfile.mkdtemp())
run

# %% [markdown]
# ## What is there
#
# All arrays are labeled, and read only when they are needed: a table of the rungs of every start, the kept
# paths, the data, and, in a twin experiment, the truth.

# %%
run.dataset

# %% [markdown]
# The levels come from the last rung of every start. Workers read the shards in parallel where a scheduler
# is given.

# %%
with workers(os.environ.get("HPCDA_SCHEDULER"), processes=0) as mapping:
    run.use(mapping, parts=4)
    summary = summarize(run)
print(format_summary(summary))

# %% [markdown]
# ## The action levels
#
# The field's signature picture. If the model is right and enough is measured, one level splits off below
# all the others, lies in the $\chi^2$ band, and no longer changes with $R_f$: from there on a stiffer model
# costs nothing, because the path obeys it. A lowest level that goes on rising says that the model or the
# noise is wrong.

# %%
display(Image(draw_levels(run, pictures / "levels.png")))

# %% [markdown]
# Three tests need no truth.
#
# 1. **Agreement.** For the true path $2 A_\mathrm{meas} = \sum ((y - h)/\sigma)^2$ is $\chi^2$ distributed
#    with mean $n$ and variance $2n$, $n$ the number of data values. At the minimum the unknowns absorb $k$ of
#    them: the score $z = (2 A_\mathrm{meas} - \nu) / \sqrt{2\nu}$, $\nu = n - k$, should lie in $\pm 3$.
# 2. **Independence of $R_f$.** It has come to the level without model error,
#    $A(\infty) = A + A_\mathrm{model} + O(R_f^{-2})$.
# 3. **Separation.** The next level lies at least three deviations $\sqrt{n/2}$ above it.

# %%
candidate = run.candidate
assert candidate is not None, "no start reached the end of the ladder"
print(f"reduced level {candidate.reduced:.3f} in {run.band.low:.3f} … {run.band.high:.3f}")
print(
    f"A = {run.candidate.action:.7g}; without model error {run.plateau.limit:.7g} ± {run.plateau.error:.1g}"
)
for title, fact in facts(run.evidence.record()).items():
    print(f"{title}: {fact}")
print(run.verdict.sentence)

# %% [markdown]
# How often the level was hit is no proof: starts that share a way of beginning and a ladder can all miss
# the same minimum. So the hits are counted for each way and each first rung.

# %%
for row in summary["ways"]:
    begun = f"{row['way']} from β = {row['first_beta']}"
    print(f"{begun}: {row['hits']} of {row['starts']} starts, {row['minima']} minima")
display(Image(draw_final_actions(run, pictures / "final.png")))

# %% [markdown]
# ## The estimate, with error bars
#
# Around each distinct minimum $X_j$ the distribution of paths is Gaussian to first order, with covariance
# $A''(X_j)^{-1}$ and weight $\propto e^{-A(X_j)} \det A''(X_j)^{-1/2}$. The Hessian is block-tridiagonal in
# time with a border of shared parameters, so one factorization gives all the marginal variances. Each
# estimate has the error bar of its own minimum; what sits at a bound, or moves along a flat direction, has
# none and says so.

# %%
bars = run.error_bars()
for name, estimate, std, kind in zip(
    bars["parameter"].values,
    bars["parameter_estimate"].values,
    bars["parameter_std"].values,
    bars["parameter_kind"].values,
    strict=True,
):
    true = run.file.header.true_parameters.get(name)
    bar = f"± {std:.2g}" if kind == "gaussian" else kind
    print(f"{name} = {estimate:.5g} {bar}" + ("" if true is None else f"   (truth {true:.5g})"))
display(Image(draw_paths(run, pictures / "paths.png")))

# %% [markdown]
# If the truth is known, the error bars can be tested: the errors of the states, in units of their standard
# deviations, should be of order one, for the states that were never measured too. Mean and deviation are
# those of all minima together, each with its weight.

# %%
distribution = run.distribution
window = run.window(0)
if "truth" in window:
    truth = window["truth"].sel(time_truth=window["time"].values, method="nearest").values
    scaled = (distribution["mean"].values - truth) / distribution["std"].values
    for name, column in zip(window["state"].values, scaled.T, strict=True):
        measured = "measured" if name in window["expression"].values else "not measured"
        print(f"{name}: {np.sqrt(np.nanmean(column**2)):.2f} standard deviations, {measured}")

# %% [markdown]
# ## The test that counts: prediction
#
# The model runs on from the last estimated state with the estimated parameters, and with nothing else. A
# wrong parameter or a wrong unmeasured state shows at once; a right estimate of a chaotic system holds for
# a few Lyapunov times.

# %%
if "data_beyond" in window:
    prediction = run.predict()
    error = prediction["prediction"] - prediction["data"]
    for name in prediction["observed"].values:
        print(f"{name}: RMSE {float(np.sqrt((error.sel(observed=name) ** 2).mean())):.3g}")

# %%
if run.file.header.parameter:
    display(Image(draw_parameters(run, pictures / "parameters.png")))
