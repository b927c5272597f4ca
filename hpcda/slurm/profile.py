"""Site profiles: a TOML file whose keys become sbatch options and lines of the batch script."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from hpcda.errors import InputError
from hpcda.job.kinds import Section, refuse
from hpcda.job.load import read_tables
from hpcda.job.mistakes import parse_as
from hpcda.times import ACCEPTED, seconds

LAUNCHERS = ("mpirun", "mpiexec", "srun")
OWN_OPTIONS = {
    "array": "--array",
    "job-name": "--output",
    "output": "--output",
    "error": "--output",
    "open-mode": "--output",
    "signal": "signal_seconds",
    "requeue": "--requeue",
    "no-requeue": "--requeue",
    "dependency": "--analyze",
    "wrap": "setup",
    "parsable": "--dry-run",
}
"""Options of sbatch that hpcda itself sets, and what of hpcda decides them."""


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _one_line(text: str) -> str:
    if not text.strip() or re.search(r"[\n\r\0]", text):
        raise refuse(f"{text!r} is not a single line", "give each line as its own string")
    return text


def _word(text: str) -> str:
    if not re.fullmatch(r"[^\s\"'\\#]+", text):
        raise refuse(f"{text!r} is not one word", "give it as sbatch takes it, without spaces and quotes")
    return text


def _time(text: str) -> str:
    if seconds(text) is None:
        raise refuse(f"{text!r} is not a time limit", f"give {ACCEPTED}; a plain number is minutes")
    return text


def _memory(text: str) -> str:
    if not re.fullmatch(r"\d+[KMGT]?", text):
        raise refuse(f"{text!r} is not a size of memory", 'give a number and K, M, G or T, such as "4G"')
    return text


def _launcher(text: str) -> str:
    try:
        words = shlex.split(text)
    except ValueError:
        words = []
    if not words or words[0].rpartition("/")[2] not in LAUNCHERS:
        raise refuse(f"{text!r} is not a launcher", 'give "mpirun" or "srun --mpi=pmix", with their options')
    if {"-n", "-np", "--ntasks"} & {word.partition("=")[0] for word in words}:
        raise refuse(f"{text!r} names the number of ranks", "leave it out: ntasks and --ranks set it")
    return text


def _option(text: str) -> str:
    if not re.match(r"--?[A-Za-z]", text):
        raise refuse(f"{text!r} is not an option of sbatch", 'give it with its dashes, such as "--exclusive"')
    name = re.split(r"[=\s]", text.lstrip("-"))[0]
    if text.startswith("--") and name in OWN_OPTIONS:
        raise refuse(f"--{name} is set by hpcda", f"leave it out, and use {OWN_OPTIONS[name]}")
    return text


def _variables(table: dict[str, str]) -> dict[str, str]:
    for name in table:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise refuse(f"{name!r} is not the name of a variable", "use letters, digits and _")
    return table


Line = Annotated[str, AfterValidator(_one_line)]
Lines = Annotated[tuple[Line, ...], BeforeValidator(_as_tuple)]
Word = Annotated[str, AfterValidator(_word)]
Time = Annotated[str, AfterValidator(_time)]
Memory = Annotated[str, AfterValidator(_memory)]
Count = Annotated[int, Field(ge=1)]


class AnalysisTable(Section):
    """[analysis]: the job that analyses the run."""

    cpus: Count = Field(default=1, description="the number of worker processes, one processor each, from 1")
    mem: Memory | None = Field(default=None, description='the memory, such as "8G"')
    time: Time | None = Field(default=None, description=f"a time limit: {ACCEPTED}")


class Profile(Section):
    """What a site asks of batch jobs; where nothing is said, its own defaults hold."""

    partition: Word | None = Field(default=None, description='the partition, such as "compute"')
    account: Word | None = Field(default=None, description='the account that pays, such as "physics"')
    qos: Word | None = Field(default=None, description='the quality of service, such as "normal"')
    nodes: Count | None = Field(default=None, description="how many nodes, from 1")
    ntasks: Count | None = Field(default=None, description="how many ranks, from 1; --ranks wins")
    ntasks_per_node: Count | None = Field(default=None, description="how many ranks a node, from 1")
    mem: Memory | None = Field(default=None, description='the memory of a node, such as "64G"')
    mem_per_cpu: Memory | None = Field(default=None, description='the memory of a rank, such as "2G"')
    time: Time | None = Field(default=None, description=f"a time limit: {ACCEPTED}; --time wins")
    options: Annotated[tuple[Annotated[Line, AfterValidator(_option)], ...], BeforeValidator(_as_tuple)] = (
        Field(default=(), description='further options of sbatch, such as ["--exclusive"]')
    )
    modules: Annotated[tuple[Word, ...], BeforeValidator(_as_tuple)] = Field(
        default=(), description='modules to load, such as ["openmpi/4.1"]'
    )
    setup: Lines = Field(default=(), description="shell lines run before hpcda, a list of strings")
    environment: Annotated[dict[str, Line], AfterValidator(_variables)] = Field(
        default_factory=dict, description='variables and their values, such as { UCX_TLS = "self,sm" }'
    )
    launcher: Annotated[Line, AfterValidator(_launcher)] = Field(
        default="mpirun", description='what starts the ranks: "mpirun" or "srun --mpi=pmix"'
    )
    signal_seconds: Count = Field(
        default=60, description="how many seconds before the time limit a job is signaled to stop, from 1"
    )
    lives: Count = Field(default=100, description="the maximum number of times a requeued job runs, from 1")
    analysis: AnalysisTable = Field(default_factory=AnalysisTable, description="a table [analysis]")

    @property
    def ranks(self) -> int:
        """Ranks of a job: ntasks, or those of all nodes, or one."""
        return self.ntasks or (self.nodes or 1) * (self.ntasks_per_node or 1)


def load_profile(path: Path) -> Profile:
    """The profile in a TOML file.

    Raises:
        InputError: There is no such file, or all the mistakes in it.
    """
    beside = sorted(str(one) for one in path.parent.glob("*.toml")) if path.parent.name else []
    there = f" (there are: {', '.join(beside[:10])})" if beside else ""
    raw = read_tables(path, "profile", f"give the path of a site's profile, as in slurm/example.toml{there}")
    profile, mistakes = parse_as(Profile, "a profile", raw)
    if profile is None:
        raise InputError(replace(one, place=f"{path}: {one.place}") for one in mistakes)
    return profile
