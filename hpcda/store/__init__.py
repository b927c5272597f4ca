"""Files of a run: one shard a rank while it runs, a virtual index over the shards when they are closed.

The only room that imports h5py. Written by the run, read by the analysis.
"""

from hpcda.store.index import build_index
from hpcda.store.journal import FILE as PLAN
from hpcda.store.journal import Decision, Journal
from hpcda.store.layout import File, Layout, NetworkLayout, RunLayout
from hpcda.store.quarantine import set_aside
from hpcda.store.reader import RunFile
from hpcda.store.restart import Checkpoint, Survey, put_by, survey
from hpcda.store.shard import Shard
from hpcda.store.shards import INDEX, SHARDS, Part, clear, every_shard, in_use, shards_of

__all__ = [
    "INDEX",
    "PLAN",
    "SHARDS",
    "Checkpoint",
    "Decision",
    "File",
    "Journal",
    "Layout",
    "NetworkLayout",
    "Part",
    "RunFile",
    "RunLayout",
    "Shard",
    "Survey",
    "build_index",
    "clear",
    "every_shard",
    "in_use",
    "put_by",
    "set_aside",
    "shards_of",
    "survey",
]
