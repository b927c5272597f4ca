"""HDF5 files of a run: one shard per rank while it runs, a virtual index over closed shards.

The only room that imports h5py. Written by the run, read by the analysis.

Everything is imported when it is first used: what a run holds can be named without loading h5py.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hpcda.results.layout import File as File
    from hpcda.results.layout import Layout as Layout
    from hpcda.results.layout import NetworkLayout as NetworkLayout
    from hpcda.results.layout import RunLayout as RunLayout
    from hpcda.store.index import build_index as build_index
    from hpcda.store.journal import FILE as PLAN
    from hpcda.store.journal import Decision as Decision
    from hpcda.store.journal import Journal as Journal
    from hpcda.store.quarantine import set_aside as set_aside
    from hpcda.store.reader import RunFile as RunFile
    from hpcda.store.restart import Checkpoint as Checkpoint
    from hpcda.store.restart import Survey as Survey
    from hpcda.store.restart import put_by as put_by
    from hpcda.store.restart import survey as survey
    from hpcda.store.shard import Shard as Shard
    from hpcda.store.shards import INDEX as INDEX
    from hpcda.store.shards import SHARDS as SHARDS
    from hpcda.store.shards import Part as Part
    from hpcda.store.shards import clear as clear
    from hpcda.store.shards import every_shard as every_shard
    from hpcda.store.shards import in_use as in_use
    from hpcda.store.shards import shards_of as shards_of

_HOMES = {
    "Checkpoint": ("hpcda.store.restart", "Checkpoint"),
    "Decision": ("hpcda.store.journal", "Decision"),
    "File": ("hpcda.results.layout", "File"),
    "INDEX": ("hpcda.store.shards", "INDEX"),
    "Journal": ("hpcda.store.journal", "Journal"),
    "Layout": ("hpcda.results.layout", "Layout"),
    "NetworkLayout": ("hpcda.results.layout", "NetworkLayout"),
    "PLAN": ("hpcda.store.journal", "FILE"),
    "Part": ("hpcda.store.shards", "Part"),
    "RunFile": ("hpcda.store.reader", "RunFile"),
    "RunLayout": ("hpcda.results.layout", "RunLayout"),
    "SHARDS": ("hpcda.store.shards", "SHARDS"),
    "Shard": ("hpcda.store.shard", "Shard"),
    "Survey": ("hpcda.store.restart", "Survey"),
    "build_index": ("hpcda.store.index", "build_index"),
    "clear": ("hpcda.store.shards", "clear"),
    "every_shard": ("hpcda.store.shards", "every_shard"),
    "in_use": ("hpcda.store.shards", "in_use"),
    "put_by": ("hpcda.store.restart", "put_by"),
    "set_aside": ("hpcda.store.quarantine", "set_aside"),
    "shards_of": ("hpcda.store.shards", "shards_of"),
    "survey": ("hpcda.store.restart", "survey"),
}

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


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        module, attribute = _HOMES[name]
        return getattr(importlib.import_module(module), attribute)
    raise AttributeError(f"module 'hpcda.store' has no attribute {name!r}")
