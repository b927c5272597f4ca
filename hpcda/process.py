"""Processes: the rank that a launcher gave this one, and detection of a reused process id."""

from __future__ import annotations

import os
from pathlib import Path

RANK_VARIABLES = ("OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID")


def rank() -> int:
    """This process's rank as the launcher tells it, without loading MPI; 0 where there is no launcher."""
    for name in RANK_VARIABLES:
        if os.environ.get(name, "").isdigit():
            return int(os.environ[name])
    return 0


def born(pid: int) -> int:
    """When a process of this host began, in clock ticks since the host started; 0 where it cannot be told."""
    fields = _fields(pid)
    return int(fields[19]) if fields else 0


def alive(pid: int, began: int) -> bool:
    """Whether the process of this host that had this number, and began then, still runs."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    fields = _fields(pid)
    if not fields:
        return True
    return fields[0] not in ("Z", "X") and began in (0, int(fields[19]))


def _fields(pid: int) -> list[str]:
    """What Linux tells of a process after its name, its state first; empty where it does not."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    fields = text.rpartition(")")[2].split()
    return fields if len(fields) > 19 and fields[19].isdecimal() else []
