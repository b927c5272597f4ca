"""The command-line arguments: commands, options, help."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from hpcda.cli.commands import (
    DONE,
    analyze_command,
    check_command,
    compare_command,
    init_command,
    list_command,
    models_command,
    resume_command,
    run_command,
    status_command,
    submit_command,
    twin_command,
)
from hpcda.cli.output import say
from hpcda.errors import InputError, Mistake
from hpcda.times import ACCEPTED, seconds

OVERVIEW = """\
Variational annealing: estimates all states and the parameters of a dynamical system from noisy data of some
of its states, with an ensemble of starts, each climbing a ladder of model-error precisions Rf.

a first run:
  hpcda init first                    writes first/job.toml, a commented job that runs as is
  hpcda check first/job.toml          checks the job and the derivatives, estimates the cost
  mpirun -n 4 hpcda run first/job.toml
  hpcda status first/run
  hpcda analyze first/run             levels, minima, prediction, figures

on a cluster:
  hpcda submit first/job.toml --ranks 64 --profile slurm/site.toml
"""
EXITS = """\
exit codes: 0 done; 2 an error in the input, reported on standard error; 75 stopped early ('hpcda resume'
continues); any other: a failure.
"""


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints are input mistakes like all others."""

    def error(self, message: str) -> NoReturn:
        raise InputError(Mistake("command line", message, f"see '{self.prog} --help'"))


def command_parser() -> argparse.ArgumentParser:
    """The parser of the command line; the command that was typed is its `command`."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = _Parser("hpcda", description=OVERVIEW, epilog=EXITS, formatter_class=raw, allow_abbrev=False)
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=_Parser)

    def add(
        name: str, command: Callable[[argparse.Namespace], int], line: str, text: str
    ) -> argparse.ArgumentParser:
        one = commands.add_parser(
            name,
            help=line,
            description=f"{line[0].upper()}{line[1:]}.\n\n{text}",
            formatter_class=raw,
            allow_abbrev=False,
        )
        one.set_defaults(command=command)
        return one

    one = add(
        "run",
        run_command,
        "run a job, alone or under mpirun or srun",
        "examples:\n  hpcda run job.toml\n  mpirun -n 64 hpcda run job.toml --output runs/first\n"
        "  srun hpcda run job.toml -- -tao_gatol 1e-9 -tao_monitor\n\n"
        "Options after -- are passed to PETSc and override solver.petsc of the job.",
    )
    one.add_argument("job", type=Path, metavar="JOB.toml", help="the job file")
    one.add_argument(
        "--output", type=Path, metavar="DIR", help="directory of the results, in place of output.directory"
    )
    one.add_argument(
        "--resume",
        action="store_true",
        help="resume the run in the directory, if there is one",
    )
    _life(one)

    one = add(
        "resume",
        resume_command,
        "resume a run that was stopped or killed, on any number of ranks",
        "examples:\n  hpcda resume runs/first\n  mpirun -n 64 hpcda resume runs/first --time-limit 1:30:00\n"
        "  hpcda resume runs/first --job longer.toml\n\n"
        "At most the rung in progress of each start is lost. A job with more starts, more rungs or a larger\n"
        "budget extends a run; other changes are refused.",
    )
    one.add_argument("run", type=Path, metavar="RUN", help="the directory of the run")
    one.add_argument("--job", type=Path, metavar="JOB.toml", help="the job that extends the run")
    _life(one)

    one = add("status", status_command, "show the progress of a run", "example:\n  hpcda status runs/first")
    one.add_argument("run", type=Path, metavar="RUN", help="the directory of the run")

    one = add(
        "analyze",
        analyze_command,
        "compute levels, minima, prediction and figures of a run",
        "examples:\n  hpcda analyze runs/first\n  hpcda analyze runs/first --workers 8\n"
        "  hpcda analyze runs/first --refine 4        is the time step fine enough?\n"
        "  hpcda analyze runs/first --scheduler tcp://node1:8786\n\nThe results are in RUN/analysis.",
    )
    one.add_argument("run", type=Path, metavar="RUN", help="the directory of the run")
    one.add_argument("--scheduler", metavar="ADDR", help="address of a Dask scheduler that does the work")
    one.add_argument(
        "--workers",
        type=_count,
        metavar="N",
        help="number of worker processes on this machine (0: this process)",
    )
    one.add_argument(
        "--refine",
        type=_count,
        metavar="LEVELS",
        help="solve the candidate again at 2, 4, ... times as many steps, in so many levels (3 to 10), "
        "and say whether the time step is fine enough",
    )
    one.add_argument(
        "--trust",
        action="store_true",
        help="execute Python files named by the job even if another user owns them",
    )

    one = add(
        "compare",
        compare_command,
        "compare several runs: how their jobs differ, and their results",
        "examples:\n  hpcda compare runs/*\n  hpcda compare runs/pairs-* --over data_per_unknown\n\n"
        "A table and a figure are written into a folder: levels and held-out errors against\n"
        "the key in which the jobs differ most.",
    )
    one.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="directories of runs")
    one.add_argument(
        "--over", metavar="KEY", help="the key of the jobs, or the result, on the horizontal axis"
    )
    one.add_argument(
        "--output", type=Path, metavar="DIR", default=Path("comparison"),
        help="folder of the table and the figure (default: comparison)",
    )  # fmt: skip

    one = add(
        "check",
        check_command,
        "check a job and its derivatives, estimate its cost; nothing is run",
        "examples:\n  hpcda check job.toml\n  hpcda check job.toml --output again",
    )
    one.add_argument("job", type=Path, metavar="JOB.toml", help="the job file")
    one.add_argument(
        "--output", type=Path, metavar="DIR", help="directory of the results, in place of output.directory"
    )

    one = add(
        "submit",
        submit_command,
        "run a job under Slurm",
        "examples:\n"
        "  hpcda submit job.toml --ranks 64 --time 12:00:00 --dry-run     shows the script\n"
        "  hpcda submit job.toml --profile slurm/site.toml                submits it\n"
        "  hpcda submit job.toml --profile slurm/site.toml --requeue --analyze\n"
        "  hpcda submit job.toml --array 8 --ranks 32                     8 jobs share the starts\n\n"
        "The job is checked first. Script and log are in RUN/slurm, the job's number is in RUN/slurm.json.\n"
        "A job that reaches its time limit stops after its current rung; submitted again, it "
        "continues; with\n"
        "--requeue it goes back to the queue until it is done. 'hpcda status RUN' tells how far it is.\n\n"
        "A profile is a TOML file: partition, account, qos, nodes, ntasks, ntasks_per_node, mem,\n"
        "mem_per_cpu, time, options, modules, setup, environment, launcher (mpirun or srun --mpi=pmix),\n"
        "signal_seconds, lives, [analysis] with cpus, mem, time. slurm/example.toml explains them.",
    )
    one.add_argument("job", type=Path, metavar="JOB.toml", help="the job file")
    one.add_argument("--profile", type=Path, metavar="SITE.toml", help="the site's settings for batch jobs")
    one.add_argument(
        "--ranks", type=_positive, metavar="N", help="MPI ranks, in place of the profile's ntasks"
    )
    one.add_argument("--time", type=_limit, metavar="T",
        help="time limit, in place of the profile's: 90 min, 12 h, H:M:S, D-H:M:S; a plain number is "
        "minutes, as to sbatch")  # fmt: skip
    one.add_argument("--array", type=_positive, metavar="N", help="N jobs of --ranks each share the starts")
    one.add_argument("--requeue", action="store_true", help="go back to the queue until the run is done")
    one.add_argument(
        "--analyze", action="store_true", help="also submit the analysis, to start when the run is done"
    )
    one.add_argument(
        "--output", type=Path, metavar="DIR", help="directory of the results, in place of output.directory"
    )
    one.add_argument("--dry-run", action="store_true", help="show the script only")

    one = add(
        "models",
        models_command,
        "list the models, or one model's names, units, values and source",
        "examples:\n  hpcda models\n  hpcda models lorenz96\n  hpcda models neuron.py:build",
    )
    one.add_argument("name", nargs="?", metavar="NAME", help="a model, or FILE.py:FUNCTION")

    one = add(
        "list",
        list_command,
        "list what a job can choose by name: discretizations, losses, ways to start, minimizers, "
        "activations, …",
        "examples:\n  hpcda list\n  hpcda list job.toml         with those of the job's extensions",
    )
    one.add_argument("job", nargs="?", type=Path, metavar="JOB.toml", help="a job with extensions")

    one = add(
        "init",
        init_command,
        "write a commented example job",
        "examples:\n  hpcda init first            writes first/job.toml\n"
        "  hpcda init neuron.toml      writes neuron.toml\n"
        "  hpcda init --network digits writes digits/job.toml, which trains a network",
    )
    one.add_argument("name", metavar="NAME", help="a folder, or a file that ends in .toml")
    one.add_argument("--network", action="store_true", help="a job that trains a layered network")

    one = add(
        "twin",
        twin_command,
        "write the synthetic data of a job with [twin], and the truth, as csv files",
        "example:\n  hpcda twin job.toml         writes job-data.csv and job-truth.csv beside it",
    )
    one.add_argument("job", type=Path, metavar="JOB.toml", help="the job file")
    one.add_argument(
        "--output", type=Path, metavar="DIR", help="directory of the csv files, in place of the job's"
    )
    return parser


def _life(one: argparse.ArgumentParser) -> None:
    """What `run` and `resume` have in common."""
    one.add_argument(
        "--time-limit",
        metavar="TIME",
        help="stop in time before TIME is over: 90 s, 90 min, 12 h, H:M:S, D-H:M:S, or slurm (the end of the "
        "Slurm job); a plain number is refused, since sbatch would read it as minutes",
    )
    one.add_argument(
        "--part",
        metavar="K/N",
        help="run part K of N of the starts; the parts are separate MPI runs that share the directory",
    )
    one.add_argument("--quiet", action="store_true", help="show no progress (progress.json is still written)")


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, 0 or more")
    return int(text)


def _positive(text: str) -> int:
    if _count(text) == 0:
        raise argparse.ArgumentTypeError("0 is not a whole number from 1")
    return int(text)


def _limit(text: str) -> str:
    if seconds(text) is None:
        problem = f"{text!r} is not a time limit: give {ACCEPTED}; a plain number is minutes"
        raise argparse.ArgumentTypeError(problem)
    return text


class _Version(argparse.Action):
    """Shows the version."""

    def __call__(self, *_: object) -> NoReturn:
        import hpcda

        say(f"hpcda {hpcda.__version__}")
        raise SystemExit(DONE)
