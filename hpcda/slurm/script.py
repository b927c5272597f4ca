"""Batch scripts: templates whose placeholders ``@{name}`` are filled in.

``templates`` is the folder ``slurm`` of the source tree, by a link; a wheel holds its files.
"""

from __future__ import annotations

import re
import shlex
import string
import sys
from dataclasses import dataclass
from pathlib import Path

from hpcda.errors import InputError, Mistake
from hpcda.formatting import counted
from hpcda.slurm.profile import Profile
from hpcda.times import for_sbatch, seconds

TEMPLATES = Path(__file__).parent / "templates"
FOLDER = "slurm"
"""Folder of the scripts and logs within a run's directory."""
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Batch:
    """One submission.

    Attributes:
        job: The job file.
        run: The run's directory.
        profile: What the site asks for.
        ranks: MPI ranks of each job.
        time: Its time limit, in place of the profile's.
        array: How many jobs of an array share the starts, or None for a job alone.
        requeue: Whether a job whose time is up goes back to the queue.
    """

    job: Path
    run: Path
    profile: Profile
    ranks: int
    time: str | None = None
    array: int | None = None
    requeue: bool = False

    @property
    def limit(self) -> str | None:
        """The time limit, as sbatch takes it."""
        text = self.time or self.profile.time
        return None if text is None else for_sbatch(text)

    @property
    def name(self) -> str:
        """What the queue shows."""
        stem = self.job.absolute().parent.name if self.job.stem == "job" else self.job.stem
        return "hpcda-" + (re.sub(r"[^\w.-]", "_", stem) or "job")

    def refuse_misfits(self, starts: int, ranks_per_start: int) -> None:
        """Refuse numbers that do not go together, which would show after a wait in the queue.

        Args:
            starts: Starts of the ensemble.
            ranks_per_start: Ranks that work on one start together.

        Raises:
            InputError: All of them.
        """
        mistakes = []
        if self.ranks % ranks_per_start:
            problem = f"{counted(self.ranks, 'rank')} cannot be split into groups of {ranks_per_start}"
            remedy = f"give a multiple of ensemble.ranks_per_start = {ranks_per_start}"
            mistakes.append(Mistake("--ranks", problem, remedy))
        if self.profile.nodes is not None and self.profile.nodes > self.ranks:
            problem = f"{counted(self.ranks, 'rank')} on {self.profile.nodes} nodes: some stay empty"
            mistakes.append(Mistake("--ranks", problem, "give more ranks, or fewer nodes in the profile"))
        if self.array is not None and self.array > starts:
            problem = f"{counted(self.array, 'job')} for {counted(starts, 'start')}"
            mistakes.append(Mistake("--array", problem, f"give at most ensemble.starts = {starts}"))
        if mistakes:
            raise InputError(mistakes)


class _Template(string.Template):
    """A template of a shell script, where ``$`` belongs to the shell."""

    delimiter = "@"


def job_script(batch: Batch) -> str:
    """The script that runs a job, or one task of an array."""
    profile = batch.profile
    command = ["run", str(batch.job.absolute()), "--output", str(batch.run.absolute())]
    words = shlex.join([sys.executable, "-m", "hpcda", *command, "--resume", "--time-limit", "slurm"])
    if batch.array is not None:
        words += f' --part "$SLURM_ARRAY_TASK_ID/{batch.array}"'
    return _fill(
        "job.sh",
        directives=_directives(batch, _of_job(batch)),
        setup=_setup(profile),
        launch=f'{profile.launcher} -n "$SLURM_NTASKS"',
        command=words,
        ending=_fill("requeue.sh", lives=str(profile.lives)).strip() if batch.requeue else ENDS_HERE,
    )


def analysis_script(batch: Batch) -> str:
    """The script that analyses the run."""
    analysis = batch.profile.analysis
    options = [
        f"--job-name={batch.name}-analysis",
        "--ntasks=1",
        f"--cpus-per-task={analysis.cpus}",
        *([f"--mem={analysis.mem}"] if analysis.mem else []),
        *([f"--time={analysis.time}"] if analysis.time else []),
    ]
    return _fill(
        "analyze.sh",
        directives=_directives(batch, options),
        setup=_setup(batch.profile),
        command=shlex.join([sys.executable, "-m", "hpcda", "analyze", str(batch.run.absolute())]),
    )


ENDS_HERE = 'if ((code == 75)); then echo "not done: submit it again to go on"; fi'


def _of_job(batch: Batch) -> list[str]:
    profile = batch.profile
    most = seconds(batch.limit) if batch.limit else None
    early = min(profile.signal_seconds, int(most) // 4) if most else profile.signal_seconds
    sizes = {
        "nodes": profile.nodes,
        "ntasks-per-node": profile.ntasks_per_node,
        "mem": profile.mem,
        "mem-per-cpu": profile.mem_per_cpu,
        "time": batch.limit,
        "array": f"1-{batch.array}" if batch.array is not None else None,
    }
    return [
        f"--job-name={batch.name}",
        f"--ntasks={batch.ranks}",
        *(f"--{name}={value}" for name, value in sizes.items() if value is not None),
        f"--signal=B:USR1@{max(early, 1)}",
        "--requeue" if batch.requeue else "--no-requeue",
        *profile.options,
    ]


def _directives(batch: Batch, options: list[str]) -> str:
    """The lines that sbatch reads."""
    profile = batch.profile
    site = {"partition": profile.partition, "account": profile.account, "qos": profile.qos}
    number = "%A_%a" if any(one.startswith("--array=") for one in options) else "%j"
    log = str(batch.run.absolute() / FOLDER).replace("%", "%%") + f"/{number}.log"
    lines = [
        *options,
        *(f"--{name}={value}" for name, value in site.items() if value is not None),
        f"--output={_directive_word(log)}",
        "--open-mode=append",
    ]
    return "\n".join(f"#SBATCH {line}" for line in lines)


def _directive_word(text: str) -> str:
    """A value as sbatch reads it in a script: quoted where it holds more than plain characters."""
    if re.fullmatch(r"[\w./%+,:@=-]+", text, re.ASCII):
        return text
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


def _setup(profile: Profile) -> str:
    """Modules, lines of the site and variables; then the programs beside this Python come first."""
    variables = dict.fromkeys(ONE_THREAD, "1") | profile.environment
    lines = [
        *(f"module load {shlex.quote(module)}" for module in profile.modules),
        *profile.setup,
        *(f"export {name}={shlex.quote(value)}" for name, value in variables.items()),
        f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH",
    ]
    return "\n".join(lines)


def _fill(template: str, **values: str) -> str:
    return _Template((TEMPLATES / template).read_text(encoding="utf-8")).substitute(values)
