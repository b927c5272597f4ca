"""Files of a run: one shard a rank while it runs, a virtual index over the shards when they are closed.

The only room that imports h5py. Written by the run, read by the analysis.
"""

from hpcda.store.aside import set_aside
from hpcda.store.checkpoint import Checkpoint, Survey, put_by, survey
from hpcda.store.index import build_index
from hpcda.store.integrity import INDEX
from hpcda.store.journal import FILE as PLAN
from hpcda.store.journal import Decision, Journal
from hpcda.store.marker import clear, in_use
from hpcda.store.names import SHARDS, Part, shards_of
from hpcda.store.reader import RunFile
from hpcda.store.schema import File, Layout, NetworkLayout, RungRecord, RunLayout
from hpcda.store.shard import Shard

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
    "RungRecord",
    "Shard",
    "Survey",
    "build_index",
    "clear",
    "in_use",
    "put_by",
    "set_aside",
    "shards_of",
    "survey",
]
