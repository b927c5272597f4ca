"""The command ``hpcda``.

Under mpirun or srun every rank runs it and rank 0 alone speaks. What a command needs is imported when it
runs, so that ``--help``, ``status`` and ``models`` load neither MPI nor PETSc.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from hpcda.errors import CompilerError, InputError, Mistake, StoppedError, StorageError
from hpcda.words import counted

DONE, FAILED, WRONG_INPUT, STOPPED_EARLY = 0, 1, 2, 75
RANK_VARIABLES = ("OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID")
NO_PLACE = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE}
)
"""Where files cannot be written or read, that is no fault of the program, and the system's words will do."""
PATIENCE = 5.0
"""Seconds that other ranks leave rank 0 to speak: a launcher ends all ranks when one ends with a failure."""

OVERVIEW = """\
Variational annealing: estimates all states and the parameters of a dynamical system from noisy data of some
of its states, with an ensemble of starts, each climbing a ladder of model-error precisions Rf.

a first run:
  hpcda init first                    writes first/job.toml, a commented job that runs as it stands
  hpcda check first/job.toml          looks for mistakes, checks derivatives, estimates the cost
  mpirun -n 4 hpcda run first/job.toml
  hpcda status first/run
  hpcda analyze first/run             levels, minima, prediction, figures

on a cluster:
  hpcda submit first/job.toml --ranks 64 --profile slurm/site.toml
"""
EXITS = """\
exit codes: 0 done; 2 a mistake in the input, told on standard error; 75 stopped early ('hpcda resume' goes
on); else a failure.
"""


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints are input mistakes like all others."""

    def error(self, message: str) -> NoReturn:
        raise InputError(Mistake("command line", message, f"see '{self.prog} --help'"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options: list[str] = []
    if "--" in given:
        cut = given.index("--")
        given, options = given[:cut], given[cut + 1 :]
    try:
        with _Silence():
            parsed = _parser().parse_args(given)
        if options and parsed.command not in (_run, _resume):
            remedy = "only 'hpcda run' and 'hpcda resume' do"
            raise InputError(Mistake("command line", "takes no options after --", remedy))
        parsed.petsc_options = options
        command: Callable[[argparse.Namespace], int] = parsed.command
        return command(parsed)
    except InputError as error:
        return _refuse(error)
    except StoppedError as error:
        if rank() == 0:
            sys.stderr.write(f"{error}\n")
            sys.stderr.flush()
        return STOPPED_EARLY
    except BrokenPipeError:
        # Who read the output is gone; Python would complain when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except (CompilerError, StorageError) as error:
        sys.stderr.write(f"hpcda: {error}\n")
        return FAILED
    except OSError as error:
        if error.errno not in NO_PLACE:
            raise
        sys.stderr.write(f"hpcda: {error.filename or 'a file'}: {error.strerror}\n")
        return FAILED


def rank() -> int:
    """This process's rank as the launcher tells it, without loading MPI; 0 where there is no launcher."""
    for name in RANK_VARIABLES:
        if os.environ.get(name, "").isdigit():
            return int(os.environ[name])
    return 0


class _Silence:
    """Sends the standard output of all ranks but 0 nowhere (``--help`` writes there)."""

    def __enter__(self) -> None:
        self._stream = sys.stdout
        if rank():
            sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115

    def __exit__(self, *_: object) -> None:
        if sys.stdout is not self._stream:
            sys.stdout.close()
            sys.stdout = self._stream


def _refuse(error: InputError) -> int:
    """Tell the mistakes, from rank 0."""
    if rank() == 0:
        count = len(error.mistakes)
        head = "a mistake in the input" if count == 1 else f"{count} mistakes in the input"
        sys.stderr.write(f"hpcda: {head}\n\n{error}\n")
        sys.stderr.flush()
    elif "mpi4py.MPI" not in sys.modules:
        time.sleep(PATIENCE)
    return WRONG_INPUT


def _say(text: str) -> None:
    if rank() == 0:
        sys.stdout.write(text.rstrip("\n") + "\n")
        sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = _Parser("hpcda", description=OVERVIEW, epilog=EXITS, formatter_class=raw, allow_abbrev=False)
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and end")
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
        _run,
        "run a job, alone or under mpirun or srun",
        "examples:\n  hpcda run job.toml\n  mpirun -n 64 hpcda run job.toml --output runs/first\n"
        "  srun hpcda run job.toml -- -tao_gatol 1e-9 -tao_monitor\n\n"
        "What stands after -- goes to PETSc and wins over solver.petsc of the job.",
    )
    one.add_argument("job", type=Path, metavar="JOB.toml", help="the job file")
    one.add_argument(
        "--output", type=Path, metavar="DIR", help="directory of the results, in place of output.directory"
    )
    one.add_argument(
        "--resume",
        action="store_true",
        help="go on with the run that the directory holds, where it holds one",
    )
    _life(one)

    one = add(
        "resume",
        _resume,
        "go on with a run that was stopped or killed, on any number of ranks",
        "examples:\n  hpcda resume runs/first\n  mpirun -n 64 hpcda resume runs/first --time-limit 1:30:00\n"
        "  hpcda resume runs/first --job longer.toml\n\n"
        "At most the rung in progress of each start is lost. A job with more starts, more rungs or a larger\n"
        "budget lets a run grow; other changes are refused.",
    )
    one.add_argument("run", type=Path, metavar="RUN", help="the directory of the run")
    one.add_argument(
        "--job", type=Path, metavar="JOB.toml", help="the job with which it goes on, if it grows"
    )
    _life(one)

    one = add("status", _status, "tell how far a run is", "example:\n  hpcda status runs/first")
    one.add_argument("run", type=Path, metavar="RUN", help="the directory of the run")

    one = add(
        "analyze",
        _analyze,
        "make levels, minima, prediction and figures of a run",
        "examples:\n  hpcda analyze runs/first\n  hpcda analyze runs/first --workers 8\n"
        "  hpcda analyze runs/first --scheduler tcp://node1:8786\n\nThe results are in RUN/analysis.",
    )
    one.add_argument("run", type=Path, metavar="RUN", help="the directory of the run")
    one.add_argument("--scheduler", metavar="ADDR", help="address of a Dask scheduler that does the work")
    one.add_argument(
        "--workers",
        type=_count,
        metavar="N",
        help="how many processes of this machine do the work (0: this one)",
    )

    one = add(
        "check",
        _check,
        "look for mistakes in a job, check derivatives, estimate its cost; run nothing",
        "example:\n  hpcda check job.toml",
    )
    one.add_argument("job", type=Path, metavar="JOB.toml", help="the job file")

    one = add(
        "submit",
        _submit,
        "run a job under Slurm",
        "examples:\n"
        "  hpcda submit job.toml --ranks 64 --time 12:00:00 --dry-run     shows the script\n"
        "  hpcda submit job.toml --profile slurm/site.toml                submits it\n"
        "  hpcda submit job.toml --profile slurm/site.toml --requeue --analyze\n"
        "  hpcda submit job.toml --array 8 --ranks 32                     8 jobs share the starts\n\n"
        "The job is checked first. Script and log are in RUN/slurm, the job's number is in RUN/slurm.json.\n"
        "A job whose time is up ends after the rung in hand; submitted again, it goes on from there; with\n"
        "--requeue it goes back to the queue until it is done. 'hpcda status RUN' tells how far it is.\n\n"
        "A profile is a TOML file: partition, account, qos, nodes, ntasks, ntasks_per_node, mem,\n"
        "mem_per_cpu, time, options, modules, setup, environment, launcher (mpirun or srun --mpi=pmix),\n"
        "signal_seconds, lives, [analysis] with cpus, mem, time. slurm/example.toml explains them.",
    )
    one.add_argument("job", type=Path, metavar="JOB.toml", help="the job file")
    one.add_argument("--profile", type=Path, metavar="SITE.toml", help="what the site asks of batch jobs")
    one.add_argument(
        "--ranks", type=_positive, metavar="N", help="MPI ranks, in place of the profile's ntasks"
    )
    one.add_argument("--time", type=_limit, metavar="T", help="time limit, in place of the profile's")
    one.add_argument("--array", type=_positive, metavar="N", help="N jobs of --ranks each share the starts")
    one.add_argument("--requeue", action="store_true", help="go back to the queue until the run is done")
    one.add_argument(
        "--analyze", action="store_true", help="submit the analysis too, for when the run is done"
    )
    one.add_argument(
        "--output", type=Path, metavar="DIR", help="directory of the results, in place of output.directory"
    )
    one.add_argument("--dry-run", action="store_true", help="show the script, submit and write nothing")

    one = add(
        "models",
        _models,
        "list the models, or one model's names, units, values and source",
        "examples:\n  hpcda models\n  hpcda models lorenz96",
    )
    one.add_argument("name", nargs="?", metavar="NAME", help="a model")

    one = add(
        "init",
        _init,
        "write a commented job to start from",
        "examples:\n  hpcda init first            writes first/job.toml\n"
        "  hpcda init neuron.toml      writes neuron.toml",
    )
    one.add_argument("name", metavar="NAME", help="a folder, or a file that ends in .toml")

    one = add(
        "twin",
        _twin,
        "write the synthetic data of a job with [twin], and their truth, as csv files",
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
        help="stop in time before TIME is over: seconds, H:M:S, D-H:M:S, or slurm (the end of the Slurm job)",
    )
    one.add_argument(
        "--part",
        metavar="K/N",
        help="run part K of N of the starts; parts share the directory, each in a world of its own",
    )
    one.add_argument(
        "--quiet", action="store_true", help="show no progress (progress.json is written all the same)"
    )


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0")
    return int(text)


def _positive(text: str) -> int:
    if _count(text) == 0:
        raise argparse.ArgumentTypeError("0 is not a whole number from 1")
    return int(text)


def _limit(text: str) -> str:
    from hpcda.slurm import limit

    if limit.seconds(text) is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time limit: give {limit.ACCEPTED}")
    return text


class _Version(argparse.Action):
    """Shows the version."""

    def __call__(self, *_: object) -> NoReturn:
        import hpcda

        _say(f"hpcda {hpcda.__version__}")
        raise SystemExit(DONE)


def _run(arguments: argparse.Namespace) -> int:
    from hpcda.job import load_job

    job = load_job(arguments.job)

    from hpcda.run import run

    directory = run(
        job,
        arguments.petsc_options,
        output=arguments.output,
        quiet=arguments.quiet,
        resume=arguments.resume,
        time_limit=arguments.time_limit,
        part=arguments.part,
    )
    return _told(directory, arguments)


def _resume(arguments: argparse.Namespace) -> int:
    from hpcda.run import resume

    directory = resume(
        arguments.run,
        arguments.job,
        arguments.petsc_options,
        quiet=arguments.quiet,
        time_limit=arguments.time_limit,
        part=arguments.part,
    )
    return _told(directory, arguments)


def _told(directory: Path, arguments: argparse.Namespace) -> int:
    """Say where the results are."""
    if arguments.quiet:
        return DONE
    if arguments.part is not None and not (directory / "run.h5").exists():
        _say(f"This part is done. Other parts are at work in {directory}; the last one makes its index.")
    else:
        _say(f"The results are in {directory}. Next: hpcda analyze {directory}")
    return DONE


def _status(arguments: argparse.Namespace) -> int:
    from hpcda.status import status

    _say(status(arguments.run, time.time()))
    return DONE


def _analyze(arguments: argparse.Namespace) -> int:
    from hpcda.analysis import analyze, format_summary

    try:
        summary = analyze(arguments.run, scheduler=arguments.scheduler, processes=arguments.workers)
    except OSError as error:
        if arguments.scheduler is None:
            raise
        remedy = "give the address that the scheduler printed, such as tcp://node1:8786"
        raise InputError(Mistake("--scheduler", f"{arguments.scheduler}: {error}", remedy)) from None
    _say(format_summary(summary))
    return DONE


def _check(arguments: argparse.Namespace) -> int:
    from hpcda.check import check, report
    from hpcda.job import load_job

    job = load_job(arguments.job)
    checked = check(job)
    _say(report(job, checked))
    return DONE if checked.ok else FAILED


def _submit(arguments: argparse.Namespace) -> int:
    from hpcda.check import check
    from hpcda.job import load_job, refuse_changed
    from hpcda.progress import duration
    from hpcda.slurm import (
        Batch,
        Profile,
        analysis_script,
        job_script,
        load_profile,
        refuse_now,
        refuse_other_parts,
        submit,
    )

    profile = Profile() if arguments.profile is None else load_profile(arguments.profile)
    job = load_job(arguments.job)
    batch = Batch(
        job=arguments.job,
        run=arguments.output or job.output_directory,
        profile=profile,
        ranks=profile.ranks if arguments.ranks is None else arguments.ranks,
        time=arguments.time,
        array=arguments.array,
        requeue=arguments.requeue,
    )
    batch.refuse_misfits(job.ensemble.starts, job.ensemble.ranks_per_start)
    if not arguments.dry_run:
        refuse_now(batch.run)
    begun = batch.run / "job.toml"
    if begun.is_file():
        refuse_changed(load_job(begun), job)
    refuse_other_parts(batch)
    checked = check(job, fresh=False)
    if not checked.ok:
        raise InputError(
            Mistake(str(arguments.job), "its derivatives are wrong", "hpcda check shows by how much")
        )
    if arguments.dry_run:
        _say(job_script(batch) + ("\n" + analysis_script(batch) if arguments.analyze else ""))
        return DONE
    done = submit(batch, arguments.analyze)
    ranks = counted(batch.ranks, "rank")
    jobs = f"{counted(batch.array, 'job')} of {ranks} each" if batch.array is not None else ranks
    most = "at most" if job.ensemble.way == "auto" else "about"
    cost = f"{most} {duration(checked.cost.total)} of one core in all"
    _say(f"Submitted batch job {done.job}: {jobs}, {cost}.")
    if done.analysis:
        _say(f"Submitted batch job {done.analysis}: the analysis, when {done.job} is done.")
    _say(f"Script and log are in {done.script.parent}. Next: hpcda status {batch.run}")
    return DONE


def _models(arguments: argparse.Namespace) -> int:
    from hpcda.show import describe_model, list_models

    _say(list_models() if arguments.name is None else describe_model(arguments.name))
    return DONE


def _init(arguments: argparse.Namespace) -> int:
    if rank() == 0:
        from hpcda.template import write_template

        path = write_template(arguments.name)
        _say(f"Wrote {path}. Next: hpcda check {path}")
    return DONE


def _twin(arguments: argparse.Namespace) -> int:
    if rank():
        return DONE
    from hpcda.build.export import export_twin
    from hpcda.job import load_job

    job = load_job(arguments.job)
    files, table = export_twin(job, arguments.job.stem, arguments.output or arguments.job.parent)
    _say(
        "Wrote "
        + ", ".join(str(file) for file in files)
        + ". To fit them, put this in place of [twin]:\n\n"
        + table
    )
    return DONE
