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

from hpcda.cli.arguments import command_parser
from hpcda.cli.commands import DONE, FAILED, STOPPED_EARLY, WRONG_INPUT, resume_command, run_command
from hpcda.cli.output import Silence
from hpcda.errors import CompilerError, InputError, Mistake, StoppedError, StorageError
from hpcda.process import RANK_VARIABLES, rank

__all__ = ["PATIENCE", "RANK_VARIABLES", "main", "rank"]

NO_PLACE = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE}
)
"""Where files cannot be written or read, that is no fault of the program, and the system's words will do."""
PATIENCE = 5.0
"""Seconds that other ranks leave rank 0 to speak: a launcher ends all ranks when one ends with a failure."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options: list[str] = []
    if "--" in given:
        cut = given.index("--")
        given, options = given[:cut], given[cut + 1 :]
    try:
        with Silence():
            parsed = command_parser().parse_args(given)
        if options and parsed.command not in (run_command, resume_command):
            remedy = "only 'hpcda run' and 'hpcda resume' take them"
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


def _refuse(error: InputError) -> int:
    """Tell the mistakes, from rank 0."""
    if rank() == 0:
        count = len(error.mistakes)
        head = "an error in the input" if count == 1 else f"{count} errors in the input"
        sys.stderr.write(f"hpcda: {head}\n\n{error}\n")
        sys.stderr.flush()
    elif "mpi4py.MPI" not in sys.modules:
        time.sleep(PATIENCE)
    return WRONG_INPUT
