"""The commented example job that ``hpcda init`` writes; it runs as it is."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from pathlib import Path

from hpcda.action.activations import ACTIVATIONS
from hpcda.action.discretizations import SCHEMES, default
from hpcda.action.losses import LOSSES
from hpcda.annealing.eliminations import ELIMINATIONS
from hpcda.annealing.minimizers import MINIMIZERS
from hpcda.errors import InputError, Mistake
from hpcda.search.trainings import TRAININGS
from hpcda.search.ways import WAYS

COLUMN, WIDTH = 34, 110
"""Where comments begin, and how wide lines are."""

TEMPLATE = """\
# A job of hpcda. It runs as is:
#
#     hpcda check {file}                 checks the job and the derivatives, estimates the cost
#     mpirun -n 4 hpcda run {file}       (or without mpirun, on one core)
#     hpcda analyze {run}
#
# Files named here are looked up in the folder of this file. "hpcda list" explains the names.

# extensions = ["mine.py"]        # files that define ways, escapes, discretizations, losses … of your own

[model]
name = "lorenz96"                 # "hpcda models" lists them; or "neuron.py:build", a file beside this one
options = {{ dimension = 10 }}      # "hpcda models lorenz96" lists them

[model.parameters.F]              # a parameter not named here keeps the model's value and is not estimated
estimate = true
start = [4.0, 14.0]               # range of the first guess; default: the model's
bounds = [0.0, 20.0]              # default: none
# prior = {{ mean = 8.0, std = 2.0 }}
# per_time = true                 # its own value at every time,
# walk_std = 0.1                  #   which changes by this much per square root of unit time
# per_window = true               # each window has its own value; false with per_time: all windows
#                                 #   share the values at each time from their beginning
# A parameter that the model does not have, but an expression under observed does, belongs to the sensor;
# it needs bounds or a prior.
# Instead of estimate = true: value = 8.17 (fixed), or series = "column" (known as a function of time).

# [model.states.x0]               # optional, one table a state
# bounds = [-50.0, 50.0]
# start = [-10.0, 15.0]           # where the state starts if it is not measured
# initial_prior = {{ mean = 0.0, std = 5.0 }}

# Synthetic data of a known truth. "hpcda twin {file}" writes them to files.
[twin]
# model = {{ name = "lorenz96", options = {{ dimension = 12 }} }}   # if another model generates the truth
parameters = {{ F = 8.17 }}         # default: the model's
initial = "random"                # or a table of states; default: the model's
spin_up = 20.0                    # how long the truth runs before the first sample
dt = 0.025                        # time from sample to sample
samples = 81                      # in the window
hold_back = 40                    # further samples, held out to test the prediction
observed = ["x0", "x2", "x4", "x6"]
noise_std = 0.5                   # or a table: {{ x0 = 0.5, x2 = 0.3, … }}
seed = 1
# max_seconds = 60.0              # for the integration of the truth
# stimulus = {{ I = {{ kind = "chaotic", scale = 10.0 }} }}   # or constant, sine, steps, file

# Measured data: remove [twin] above and uncomment below.
# [data]                          # or [[data]] several times: windows that share the parameters
# file = "x.csv"                  # csv, npy, npz, h5, nc
# time = "t"                      # a column: its name, or its position counted from 0
# observed = {{ x0 = "y0", "gain*x2 + x3" = "y1" }}   # expression of states and parameters -> column
# noise_std = 0.5                 # or a table, or {{ column = "sigma" }}; if unknown
                                  # {{ estimate = true, start = [0.1, 10.0] }}
# loss = "gaussian"               {losses}
# stimulus = {{ I = "current" }}    # the model's stimuli -> columns
# header = false                  # the first row of a text file holds data; default: detected
# missing = [-999, "<LOD"]        # marks of missing values; [] if every number is a value
# truth = {{ file = "truth.csv", parameters = {{ F = 8.17 }} }}   # where it is known
# sample_step = 0.025             # default: the smallest difference of the times
# uneven = true                   # times are not equally far apart: steps of the path differ
# gaps = true                     # accept empty cells and missing times; default: they are errors
# from = 0.0                      # the part that is used; default: all
# to = 4.0
# hold_back = 40                  # samples at the end, held out to test the prediction

[action]
discretization = "auto"           {discretizations}
steps_per_sample = "auto"         # steps of the path from sample to sample: as many as the estimates need,
                                  # found by a pilot before the run; or a number, default 1
model_error_weight = "auto"       # (4 / spread)² of each state: all are weighted alike; or {{ x0 = 1.0 }}
model_error = "per step"          # what Rf weights; or "per time": a finer step is then the same problem

[ladder]                          # Rf = rf0 · alpha^β at rung β
rf0 = 1e-2
alpha = 2.0
rf_max = 1e6                      # or rungs = 27
# end = "infinity"                # one more rung, at which the model is obeyed exactly
first_rungs = [0]                 # the starts are spread over ladders that begin at these rungs

[ensemble]
starts = 100                      # at most, with way = "auto"
seed = 1
way = "auto"                      {ways}
# budget = "verdict"              # a search ends when its lowest level is consistent and stable;
                                  # or "starts" (when all were run), or "core-seconds" with core_seconds = 60
# merge = true                    # starts that have become the same path go on as one
# range = [-10.0, 15.0]           # where unmeasured states start; or a table, one range a state
ranks_per_start = 1

[solver]
minimizer = "auto"                {minimizers}
# elimination = "tree"            {eliminations}
max_iterations = 1000             # of one rung
# max_seconds = 600.0             # of one start, which then ends at its current rung
# petsc = {{ tao_gatol = 1e-8 }}    # PETSc options without the dash; those after "--" on the command line win

[output]
directory = "run"
keep_paths = "final"              # paths of the last rung; or "all" rungs, or "best:10"
"""


NETWORK = """\
# A job of hpcda that trains a network. It runs as is:
#
#     hpcda check {file}                 checks the job and the derivatives, estimates the cost
#     mpirun -n 4 hpcda run {file}       (or without mpirun, on one core)
#     hpcda analyze {run}
#
# Files named here are looked up in the folder of this file. "hpcda list" explains the names.

# extensions = ["mine.py"]        # files that define activations or trainings of your own

[network]                         # the data determine the number of inputs and outputs
hidden = [6, 6]                   # units of every hidden layer
activation = "tanh"               {activations}
output_activation = "identity"    # of the last layer
# residual = true                 # a layer as wide as the previous one adds its output to it
# weight_std = 3.0                # a Gaussian prior of mean 0 on weights and biases; default: none
# bias_std = 10.0                 # that of biases, inf for none; default: weight_std
# start = [-0.1, 0.1]             # range of the first weights of trainings that begin near 0

# [network.continuum]             # a continuum of layers, with hidden = [8]: dx/dt = g(W(t) x + b(t))
# time = 1.0                      # from 0 to here
# steps = 20
# scheme = "midpoint"             # order 2; or "euler", order 1
# weights = "walk"                # how W, b depend on time; or "free" (each step's own), or "constant"
# walk_std = 1.0                  # their change over a unit of time; of "walk"
# weight_std = 1.0                # a prior on their size over a unit of time; "free" needs it

# Synthetic pairs of a network with known weights, with inputs of a standard normal distribution.
[twin]
inputs = 5
outputs = 3
# hidden = [6, 6]                 # of the teacher, if not those of the network
weight_std = 1.0                  # of the teacher; or weight_range = [-0.1, 0.1]
bias_std = 1.0
pairs = 500                       # training pairs
hold_back = 500                   # further pairs, held out to test the network
noise_std = 0.01                  # of the outputs
# input_std = 0.01                # of the inputs; default: they are exact
# measured = 2                    # how many inputs and outputs, the first of each; default: all
seed = 1

# Pairs of your own: remove [twin] above and uncomment below.
# [data]
# file = "pairs.csv"              # csv, npy, npz, h5, nc: a row is a pair; or source = "sklearn:digits"
# inputs = ["x0", "x1"]           # columns; default: all except outputs; an array counts as its columns
# outputs = ["y0"]                # measured outputs, with noise_std
# noise_std = 0.1                 # or a table: {{ y0 = 0.1, y1 = 0.2 }}
# input_std = 0.1                 # noise of the inputs, which are then estimated; default: exact
# missing_input_std = 1.0         # missing inputs are estimated, with this prior about 0
# loss = "gaussian"               # or a loss without a scale, such as "poisson" or "bernoulli"
# label = "digit"                 # in place of outputs: a column of categories, words or 0, 1, 2, … (softmax)
# standardize = true              # inputs of mean 0 and standard deviation 1
# pairs = 1000                    # number of training pairs; default: all not held out
# hold_back = 0.3                 # held-out pairs to test the network: a number, or a part
# seed = 1                        # of the random choice of pairs
# missing = [-999]                # marks of missing values

[ladder]
end = "infinity"                  # the layers are obeyed exactly
# rungs = 8                       # before it, of way = "annealed": Rf = rf0 · alpha^β
# rf0 = 1.0
# alpha = 10.0

[ensemble]
starts = 100                      # at most, with way = "auto"
seed = 1
way = "auto"                      {trainings}
# budget = "verdict"              # a search ends when its lowest level is consistent and stable;
                                  # or "starts" (when all were run), or "core-seconds" with core_seconds = 60
ranks_per_start = 1               # MPI ranks that share the pairs of one start

[solver]
# elimination = "states"          # how steps are computed: "states", "data", "krylov", or "petsc", where
                                  # petsc = {{ ksp_rtol = 1e-6 }} are options of it; default: the cheapest
max_iterations = 500              # of the last descent of a start

[output]
directory = "run"
keep_paths = "final"              # weights of all starts; or "best:10"
"""


def template(path: Path) -> str:
    """The commented job that assimilates data, as it is written to a file."""
    other_losses = [name for name, loss in LOSSES.items() if name != "gaussian" and not loss.joint]
    return TEMPLATE.format(
        file=path,
        run=path.parent / "run",
        discretizations=_comment(
            [f"{default('flow')} for flows, {default('map')} for maps; or", *_listed(SCHEMES)]
        ),
        ways=_comment(["search with all; or", *_listed(WAYS)]),
        losses=_comment(["the noise; or", *_listed(other_losses)], "#"),
        minimizers=_comment(["the best for the job; or", *_listed(MINIMIZERS)]),
        eliminations=_comment(
            [
                "how Newton's equations are solved; left out, the fastest way is taken; or",
                *_listed(ELIMINATIONS),
            ],
            "#",
        ),
    )


def network_template(path: Path) -> str:
    """The commented job that trains a network, as it is written to a file."""
    return NETWORK.format(
        file=path,
        run=path.parent / "run",
        activations=_comment(["of hidden layers:", *_listed(ACTIVATIONS)]),
        trainings=_comment(["search with all; or", *_listed(TRAININGS)]),
    )


def _listed(names: Iterable[str]) -> list[str]:
    *first, last = (f'"{name}"' for name in names)
    return [*(f"{name}," for name in first), last]


def _comment(words: list[str], before: str = "") -> str:
    """A comment behind a value, in lines of their own where it is long, which begin with `before`."""
    lines = textwrap.wrap(" ".join(words), WIDTH - COLUMN - 2, break_on_hyphens=False)
    return f"\n{before:{COLUMN}}".join(f"# {line}" for line in lines)


def write_template(name: str, network: bool = False) -> Path:
    """Write a commented job: the file `name` where it ends in .toml, else ``job.toml`` in a folder `name`.

    Args:
        name: The file or the folder.
        network: Whether it trains a network.

    Raises:
        InputError: The file exists, or cannot be written.
    """
    path = Path(name) if name.endswith(".toml") else Path(name) / "job.toml"
    text = network_template(path) if network else template(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        raise InputError(Mistake(str(path), "exists already", "give another name, or remove it")) from None
    except (OSError, ValueError) as error:
        raise InputError(Mistake(str(path), f"cannot be written: {error}", "give another name")) from None
    return path
