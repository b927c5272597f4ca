"""What a run needs of its ranks: collective errors, counters, launcher detection; and a serial version."""

from hpcda.ranks.agreement import all_agree, all_or_none
from hpcda.ranks.alone import AloneQueue, AloneWorld
from hpcda.ranks.counts import Counts
from hpcda.ranks.launched import launched_ranks

__all__ = ["AloneQueue", "AloneWorld", "Counts", "all_agree", "all_or_none", "launched_ranks"]
