"""The commands; each imports what it needs only when it runs."""

from __future__ import annotations

import argparse
import gc
import time
from pathlib import Path

from hpcda.cli.output import say
from hpcda.errors import InputError, Mistake
from hpcda.formatting import counted
from hpcda.process import rank

DONE, FAILED, WRONG_INPUT, STOPPED_EARLY = 0, 1, 2, 75
"""Exit codes."""
RARELY = 100_000
"""Objects made, less those gone, between searches for cycles, of which an analysis leaves few."""


def run_command(arguments: argparse.Namespace) -> int:
    """Run a job."""
    from hpcda.runner import run

    directory = run(
        arguments.job,
        arguments.petsc_options,
        output=arguments.output,
        quiet=arguments.quiet,
        resume=arguments.resume,
        time_limit=arguments.time_limit,
        part=arguments.part,
    )
    return _told(directory, arguments)


def resume_command(arguments: argparse.Namespace) -> int:
    """Go on with a run."""
    from hpcda.runner import resume

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
        say(
            f"This part is done. Other parts are still running in {directory}; the last one writes the index."
        )
    else:
        say(f"The results are in {directory}. Next: hpcda analyze {directory}")
    return DONE


def status_command(arguments: argparse.Namespace) -> int:
    """Tell how far a run is."""
    from hpcda.status import status

    say(status(arguments.run, time.time()))
    return DONE


def analyze_command(arguments: argparse.Namespace) -> int:
    """Analyze a run."""
    gc.set_threshold(RARELY)
    from hpcda.analysis import analyze, format_summary

    try:
        summary = analyze(
            arguments.run,
            scheduler=arguments.scheduler,
            processes=arguments.workers,
            trust=arguments.trust,
            refine=arguments.refine,
        )
    except OSError as error:
        if arguments.scheduler is None:
            raise
        remedy = "give the address that the scheduler printed, such as tcp://node1:8786"
        raise InputError(Mistake("--scheduler", f"{arguments.scheduler}: {error}", remedy)) from None
    say(format_summary(summary))
    return DONE


def compare_command(arguments: argparse.Namespace) -> int:
    """Put runs side by side."""
    from hpcda.analysis.comparison import compare, format_comparison, write_comparison
    from hpcda.analysis.figures.comparison import draw_comparison

    table = compare(arguments.runs)
    folder = arguments.output
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_comparison(table, folder / "comparison.csv")
        picture = draw_comparison(table, folder / "comparison.png", arguments.over)
    except OSError as error:
        place = str(error.filename or folder)
        raise InputError(
            Mistake(place, f"cannot be written: {error.strerror or error}", "give --output DIR")
        ) from error
    say(format_comparison(table))
    say(f"Table and figure: {folder / 'comparison.csv'}, {picture}")
    return DONE


def check_command(arguments: argparse.Namespace) -> int:
    """Check a job."""
    from hpcda.job import NetworkJob, load_job

    job = load_job(arguments.job)
    if arguments.output is not None:
        job = job.with_output(arguments.output)
    if isinstance(job, NetworkJob):
        from hpcda.check_network import check_network, report_network

        network = check_network(job)
        say(report_network(job, network))
        return DONE if network.ok else FAILED
    from hpcda.check import check, report

    checked = check(job)
    say(report(job, checked))
    return DONE if checked.ok else FAILED


def submit_command(arguments: argparse.Namespace) -> int:
    """Submit a job to Slurm."""
    from hpcda.check import check
    from hpcda.check_network import CheckedNetwork, check_network
    from hpcda.job import NetworkJob, load_job, refuse_changed
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
    checked = check_network(job, fresh=False) if isinstance(job, NetworkJob) else check(job, fresh=False)
    if not checked.ok:
        raise InputError(Mistake(str(arguments.job), "its derivatives are wrong", "see hpcda check"))
    if arguments.dry_run:
        say(job_script(batch) + ("\n" + analysis_script(batch) if arguments.analyze else ""))
        return DONE
    done = submit(batch, arguments.analyze)
    ranks = counted(batch.ranks, "rank")
    jobs = f"{counted(batch.array, 'job')} of {ranks} each" if batch.array is not None else ranks
    most = "at most" if job.ensemble.way == "auto" else "about"
    total = checked.total if isinstance(checked, CheckedNetwork) else checked.cost.total
    cost = f"{most} {duration(total)} of one core in all"
    say(f"Submitted batch job {done.job}: {jobs}, {cost}.")
    if done.analysis:
        say(f"Submitted batch job {done.analysis}: the analysis, when {done.job} is done.")
    say(f"Script and log are in {done.script.parent}. Next: hpcda status {batch.run}")
    return DONE


def models_command(arguments: argparse.Namespace) -> int:
    """List the models, or one of them."""
    from hpcda.show import describe_model, list_models

    say(list_models() if arguments.name is None else describe_model(arguments.name))
    return DONE


def list_command(arguments: argparse.Namespace) -> int:
    """List what a job chooses by name."""
    from hpcda.job import load_job
    from hpcda.listing import list_choices

    files = [] if arguments.job is None else load_job(arguments.job).extension_files
    say(list_choices([one.sha256 for one in files]))
    return DONE


def init_command(arguments: argparse.Namespace) -> int:
    """Write a job to start from."""
    if rank() == 0:
        from hpcda.template import write_template

        path = write_template(arguments.name, arguments.network)
        say(f"Wrote {path}. Next: hpcda check {path}")
    return DONE


def twin_command(arguments: argparse.Namespace) -> int:
    """Write the data of a twin."""
    if rank():
        return DONE
    from hpcda.build.export import export_twin
    from hpcda.job import NetworkJob, load_job

    job = load_job(arguments.job)
    if isinstance(job, NetworkJob):
        problem = "defines a teacher network, which every run generates itself"
        raise InputError(
            Mistake("twin", problem, "open the run: hpcda.open_run(DIR).dataset holds its pairs")
        )
    files, table = export_twin(job, arguments.job.stem, arguments.output or arguments.job.parent)
    say(
        "Wrote "
        + ", ".join(str(file) for file in files)
        + ". To fit them, put this in place of [twin]:\n\n"
        + table
    )
    return DONE
