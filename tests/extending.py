"""Files outside the package, one of each kind, as a user writes them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hpcda import extensions

SCHEME = '''
"""Implicit Euler."""
from hpcda.action.scheme import scheme

SCHEME = scheme("backward", "implicit Euler", state=[[0, 1]], position=[[-1, 1]], rate=[[1]], order=1)
'''
WAY = '''
"""Every state at its middle, with unit noise."""
import numpy as np
from hpcda.search.way import Way

def path(context, rng):
    problem = context.problem
    middle = problem.state_start.mean(axis=1)
    blocks = [middle + rng.standard_normal((w.times, problem.dimension)) for w in problem.windows]
    return problem.join(blocks, np.array([rng.uniform(*p.start) for p in problem.constants]))

WAY = Way("middle", "states at the middle of their range", path, shares=(0.0,), leads=3)
'''
ESCAPE = '''
"""A minimum turned around in time."""
from hpcda.search.escape import Escape

def path(context, minima, rng):
    blocks, parameters = context.problem.split(minima[0])
    return context.problem.join([block[::-1] for block in blocks], parameters), context.rung(0.3)

ESCAPE = Escape("backwards", "a minimum turned around in time", 1, path, weight=100.0)
'''
MINIMIZER = '''
"""SciPy's L-BFGS-B: Byrd, Lu, Nocedal, Zhu, SIAM J. Sci. Comput. 16, 1190 (1995)."""
from scipy.optimize import Bounds, minimize

from hpcda.annealing import MinimizerSpec, Reason, ended
from hpcda.annealing.scale import scales

OPTIONS = {"maxfun": 10**6, "ftol": 0.0, "gtol": 1e-9, "maxcor": 20}

class Lbfgsb:
    linear = ""

    def __init__(self, action, limits):
        self.action, self.limits, self.scale = action, limits, scales(action.problem)

    def minimize(self, path, rf, fresh=False):
        def function(scaled):
            parts, gradient = self.action.gradient(scaled * self.scale, rf)
            return parts.total, gradient * self.scale

        lower, upper = self.action.problem.bounds
        box = Bounds(lower / self.scale, upper / self.scale)
        limit = {"maxiter": self.limits.max_iterations, **OPTIONS}
        found = minimize(function, path / self.scale, jac=True, method="L-BFGS-B", bounds=box, options=limit)
        self.limits.watch(found.nit, float(found.fun))
        otherwise = Reason.STOPPED_ITERATIONS if found.status == 1 else Reason.FAILED_LINE_SEARCH
        return ended(self.action, found.x * self.scale, rf, found.nit, otherwise=otherwise)

    def destroy(self):
        pass

MINIMIZER = MinimizerSpec("scipy-lbfgsb", "SciPy's L-BFGS-B", Lbfgsb, bounds=True)
'''
ELIMINATION = '''
"""PETSc's own Cholesky factorization in the order of Cuthill and McKee, reversed."""
from hpcda.annealing.elimination import EliminationSpec, Linear

ELIMINATION = EliminationSpec("profile", "Cholesky in a narrow profile", Linear(order="rcm"))
'''
TREE = '''
"""A tree of fronts in the order of Cuthill and McKee, reversed; shared parameters stay last."""
import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import reverse_cuthill_mckee

from hpcda.annealing.elimination import EliminationSpec
from hpcda.annealing.eliminations.tree import plan
from hpcda.linalg.order import counted

def profile(pattern):
    matrix = csr_array((np.ones(len(pattern.indices)), pattern.indices, pattern.indptr))
    order = reverse_cuthill_mckee(matrix, symmetric_mode=True)
    order = order[np.argsort(order >= pattern.size - pattern.shared, kind="stable")]
    return counted("profile", pattern, order)

ELIMINATION = EliminationSpec("banded", "a tree in a narrow profile", lambda action: plan(action, profile))
'''
LOSS = '''
"""Gaussian noise, written out."""
import numpy as np
from hpcda.action.loss import Loss, alike

def residual(h, y, s, options):
    return (h - y) / s

LOSS = Loss(
    name="squares",
    sentence="half the square",
    share=lambda h, y, s, options: 0.5 * residual(h, y, s, options) ** 2,
    residual=residual,
    noise=lambda h, s, options: alike(h, (0.5, 0.5)),
    draw=lambda rng, h, s, options: h + s * rng.standard_normal(np.shape(h)),
    deviation=lambda y, s, options: s,
)
'''
ACTIVATION = '''
"""A smooth step between two slopes: z times the logistic function of z."""
import numpy as np
from hpcda.action.activation import Activation

ACTIVATION = Activation("swish", "z / (1 + exp(-z))", lambda z: z * (0.5 + 0.5 * np.tanh(0.5 * z)))
'''
TRAINING = '''
"""Weights of a normal distribution."""
from hpcda.search.training import Training

def weights(context, minima, rng):
    return 0.5 * rng.standard_normal(context.size)

TRAINING = Training("normal", "weights N(0, 0.25)", weights)
'''


@contextmanager
def forgotten() -> Iterator[None]:
    """What is loaded within is forgotten afterwards: a process that runs tests is many users' one by one."""
    loaded, extended = dict(extensions._loaded), list(extensions._extended)
    try:
        yield
    finally:
        gone: set[str] = set()
        for one in extensions._loaded.values():
            if one.sha256 not in gone and all(one.content != kept.content for kept in loaded.values()):
                one.leave()
                gone.add(one.sha256)
        extensions._loaded.clear()
        extensions._loaded.update(loaded)
        extensions._extended[:] = extended
