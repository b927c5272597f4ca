"""Ranks that are threads of this process: what ranks share is tested without MPI, on any number of them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np


class Thread:
    """See `hpcda.action.dealt.Ranks`."""

    def __init__(self, rank, size, room):
        self.rank, self.size = rank, size
        self._room, self._barrier = room

    def _all(self, own):
        self._room[self.rank] = np.array(own)
        self._barrier.wait(60)
        found = list(self._room)
        self._barrier.wait(60)
        return found

    def gather(self, own, counts, room=None):
        found = self._all(own)
        assert [len(one) for one in found] == list(counts)
        return np.concatenate(found, out=room)

    def exchange(self, own, counts, theirs, room):
        assert len(own) == sum(counts)
        ends = np.cumsum([0, *counts])
        found = [sent[self.rank] for sent in self._pieces(np.split(own, ends[1:-1]))]
        assert [len(one) for one in found] == list(theirs)
        np.concatenate(found, out=room)

    def _pieces(self, own):
        self._room[self.rank] = [np.array(one) for one in own]
        self._barrier.wait(60)
        found = list(self._room)
        self._barrier.wait(60)
        return found


def on_ranks(size, work):
    """What `work` of each of so many ranks returns."""
    room = [None] * size, threading.Barrier(size)

    def one(rank):
        try:
            return work(Thread(rank, size, room))
        except BaseException:
            room[1].abort()
            raise

    with ThreadPoolExecutor(size) as threads:
        return list(threads.map(one, range(size)))
