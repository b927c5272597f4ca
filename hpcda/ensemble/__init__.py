"""The ensemble: rounds of starts on all ranks, stored rung by rung, stopped and resumed."""

from hpcda.ensemble.earlier_run import EarlierRun, read_earlier_run
from hpcda.ensemble.ensemble import Ensemble, RunControl, Setting

__all__ = ["EarlierRun", "Ensemble", "RunControl", "Setting", "read_earlier_run"]
