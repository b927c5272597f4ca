"""Variational annealing ensembles: states and parameters of a dynamical system from noisy, partial data.

Everything is imported when it is first used, so that ``import hpcda`` loads neither MPI, PETSc nor xarray.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hpcda.analysis import open_run as open_run
    from hpcda.errors import InputError as InputError
    from hpcda.errors import StoppedError as StoppedError
    from hpcda.extensions import extend as extend
    from hpcda.job import load_job as load_job
    from hpcda.models.model import Model as Model
    from hpcda.models.model import Parameter as Parameter
    from hpcda.models.model import State as State
    from hpcda.models.model import Stimulus as Stimulus
    from hpcda.run import resume as resume
    from hpcda.run import run as run

    __version__: str

_HOMES = {
    "InputError": "hpcda.errors",
    "Model": "hpcda.models.model",
    "Parameter": "hpcda.models.model",
    "State": "hpcda.models.model",
    "StoppedError": "hpcda.errors",
    "Stimulus": "hpcda.models.model",
    "extend": "hpcda.extensions",
    "load_job": "hpcda.job",
    "open_run": "hpcda.analysis",
    "resume": "hpcda.run",
}

__all__ = [
    "InputError",
    "Model",
    "Parameter",
    "State",
    "Stimulus",
    "StoppedError",
    "__version__",
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
    if name == "run":
        return importlib.import_module("hpcda.run")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'hpcda' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Run(ModuleType):
    """The module `hpcda.run`, which can be called: ``hpcda.run(job)`` is ``hpcda.run.run(job)``."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.run(*args, **kwargs)


class _Package(ModuleType):
    """This package, whose attribute ``run``, set by the import system, becomes callable."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "run" and type(value) is ModuleType:
            value.__class__ = _Run
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
