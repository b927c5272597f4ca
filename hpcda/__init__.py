"""Variational annealing ensembles: states and parameters of a dynamical system from noisy, partial data.

Everything is imported when it is first used, so that ``import hpcda`` loads neither MPI, PETSc nor xarray.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from hpcda.kernels import name_kernels

if TYPE_CHECKING:
    from hpcda.analysis import Result as Result
    from hpcda.analysis import open_run as open_run
    from hpcda.analysis.network import NetworkResult as NetworkResult
    from hpcda.boundary import BoundarySolution as BoundarySolution
    from hpcda.boundary import boundary_value as boundary_value
    from hpcda.errors import DataWarning as DataWarning
    from hpcda.errors import InputError as InputError
    from hpcda.errors import StoppedError as StoppedError
    from hpcda.extensions import extend as extend
    from hpcda.face import Data as Data
    from hpcda.face import Estimate as Estimate
    from hpcda.face import Ladder as Ladder
    from hpcda.face import NetworkProblem as NetworkProblem
    from hpcda.face import Prior as Prior
    from hpcda.face import Problem as Problem
    from hpcda.face import Solver as Solver
    from hpcda.face import anneal as anneal
    from hpcda.face import resume as resume
    from hpcda.face import run as run
    from hpcda.job import load_job as load_job
    from hpcda.models.model import Model as Model
    from hpcda.models.model import Parameter as Parameter
    from hpcda.models.model import State as State
    from hpcda.models.model import Stimulus as Stimulus

    __version__: str

name_kernels()

_HOMES = {
    "BoundarySolution": "hpcda.boundary",
    "Data": "hpcda.face",
    "DataWarning": "hpcda.errors",
    "Estimate": "hpcda.face",
    "InputError": "hpcda.errors",
    "Ladder": "hpcda.face",
    "Model": "hpcda.models.model",
    "NetworkProblem": "hpcda.face",
    "NetworkResult": "hpcda.analysis.network",
    "Parameter": "hpcda.models.model",
    "Prior": "hpcda.face",
    "Problem": "hpcda.face",
    "Result": "hpcda.analysis",
    "Solver": "hpcda.face",
    "State": "hpcda.models.model",
    "StoppedError": "hpcda.errors",
    "Stimulus": "hpcda.models.model",
    "anneal": "hpcda.face",
    "boundary_value": "hpcda.boundary",
    "extend": "hpcda.extensions",
    "load_job": "hpcda.job",
    "open_run": "hpcda.analysis",
    "resume": "hpcda.face",
    "run": "hpcda.face",
}

__all__ = [
    "BoundarySolution",
    "Data",
    "DataWarning",
    "Estimate",
    "InputError",
    "Ladder",
    "Model",
    "NetworkProblem",
    "NetworkResult",
    "Parameter",
    "Prior",
    "Problem",
    "Result",
    "Solver",
    "State",
    "StoppedError",
    "Stimulus",
    "__version__",
    "anneal",
    "boundary_value",
    "extend",
    "load_job",
    "open_run",
    "resume",
    "run",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("hpcda")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'hpcda' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
