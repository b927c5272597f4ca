"""Files of a run: one shard a rank while it runs, a virtual index over the shards when they are closed.

The only room that imports h5py. Written by the run, read by the analysis.
"""

from hpcda.store.checkpoint import Checkpoint, Resumable, resumable
from hpcda.store.index import build_index
from hpcda.store.reader import RunFile
from hpcda.store.schema import Layout, RungRecord
from hpcda.store.shard import Shard

__all__ = ["Checkpoint", "Layout", "Resumable", "RunFile", "RungRecord", "Shard", "build_index", "resumable"]
