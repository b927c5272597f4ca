"""A Slurm of one node, of this user alone: its own munged, slurmctld and slurmd on free loopback ports.

It needs no systemd and no entry in /etc. Four processors are declared whatever the machine has. A job that
is requeued starts again after `REQUEUED_AFTER` seconds, where Slurm's own default is two minutes.
"""

from __future__ import annotations

import getpass
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel", "srun")
PROCESSORS, MEGABYTES = 4, 4000
REQUEUED_AFTER = 6
"""Seconds; Slurm waits one more than a credential is good for, and takes no less than five for that."""
PATIENCE = 120.0

CONFIGURATION = """\
ClusterName=hpcda
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire={credential}
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/jobs.txt
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0,requeue_setup_env_fail
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=5
MinJobAge=3600
NodeName={host} NodeAddr=127.0.0.1 CPUs={processors} RealMemory={megabytes} State=UNKNOWN
PartitionName=short Nodes={host} Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO DefMemPerCPU=500
"""


def program(name: str) -> str | None:
    """Where a program is; the daemons lie in sbin, which an ordinary user's PATH may lack."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin:/usr/local/sbin")


def missing() -> list[str]:
    """The programs that this machine lacks."""
    return [name for name in PROGRAMS if program(name) is None]


class Slurm:
    """A running cluster.

    Attributes:
        folder: Its logs, state and configuration.
        host: Name of its node.
        environment: What a process needs to talk to it.
    """

    def __init__(self, folder: Path, host: str) -> None:
        self.folder, self.host = folder, host
        self.environment = {"SLURM_CONF": str(folder / "slurm.conf")}

    def call(self, *command: str, check: bool = True) -> str:
        """The standard output of one of Slurm's programs."""
        environment = os.environ | self.environment
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr or done.stdout}")
        return done.stdout

    def job(self, job: str) -> dict[str, str]:
        """What scontrol says of a job, or of one task of an array (``12_3``)."""
        text = self.call("scontrol", "show", "job", "--oneliner", job).splitlines()[0]
        words = (word.partition("=") for word in text.split() if "=" in word)
        return {key: value for key, _, value in words}

    def states(self, job: str) -> list[str]:
        """The states of a job's tasks (one, if it is no array)."""
        lines = self.call("scontrol", "show", "job", "--oneliner", job).splitlines()
        return [word[9:] for line in lines for word in line.split() if word.startswith("JobState=")]

    def wait(self, job: str, states: Sequence[str] = (), patience: float = PATIENCE) -> list[str]:
        """Wait until all tasks of a job have ended, or are in one of `states`.

        Raises:
            TimeoutError: They were not in `patience` seconds.
        """
        ended = states or ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "OUT_OF_MEMORY", "NODE_FAIL")
        until = time.monotonic() + patience
        while time.monotonic() < until:
            found = self.states(job)
            if found and all(state in ended for state in found):
                return found
            time.sleep(0.1)
        raise TimeoutError(f"job {job} after {patience:g} s: {self.call('scontrol', 'show', 'job', job)}")


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nobody listens at."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@contextmanager
def _daemon(slurm: Slurm, name: str, *options: str) -> Iterator[subprocess.Popen]:
    path = program(name)
    assert path is not None
    with (slurm.folder / f"{name}.out").open("wb") as output:
        process = subprocess.Popen(
            [path, *options],
            env=os.environ | slurm.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def private_slurm() -> Iterator[Slurm]:
    """Start a cluster, and stop it with all its jobs.

    Raises:
        RuntimeError: A daemon did not start; the message holds what it said.
    """
    # A socket's path may have 107 characters: a folder of its own right below the temporary one.
    with ExitStack() as stack:
        made = tempfile.TemporaryDirectory(prefix="hpcda-slurm-", ignore_cleanup_errors=True)
        folder = Path(stack.enter_context(made))
        host = socket.gethostname().partition(".")[0]
        controller, node = free_ports(2)
        for part in ("state", "spool"):
            (folder / part).mkdir()
        key = folder / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(128))
        (folder / "slurm.conf").write_text(
            CONFIGURATION.format(
                folder=folder,
                host=host,
                controller=controller,
                node=node,
                user=getpass.getuser(),
                credential=REQUEUED_AFTER - 1,
                processors=PROCESSORS,
                megabytes=MEGABYTES,
            )
        )
        slurm = Slurm(folder, host)
        munge = [f"--key-file={key}", f"--socket={folder}/munge.socket", f"--pid-file={folder}/munge.pid"]
        munge += [f"--log-file={folder}/munge.log", f"--seed-file={folder}/munge.seed"]
        daemons = {}
        for name, options in (
            ("munged", ["--foreground", "--force", *munge]),
            ("slurmctld", ["-D", "-c"]),
            ("slurmd", ["-D", "-N", host]),
        ):
            daemons[name] = stack.enter_context(_daemon(slurm, name, *options))
            if name == "munged":
                _until(lambda: (folder / "munge.socket").exists(), folder, daemons)
        _until(lambda: slurm.call("sinfo", "-h", "-o", "%T", check=False).strip() == "idle", folder, daemons)
        stack.callback(_end_jobs, slurm)
        yield slurm


def _until(ready, folder: Path, daemons: dict[str, subprocess.Popen]) -> None:
    until = time.monotonic() + PATIENCE
    while not ready():
        ended = [name for name, process in daemons.items() if process.poll() is not None]
        if ended or time.monotonic() > until:
            logs = [*folder.glob("*.out"), *folder.glob("*.log")]
            said = "".join(path.read_text(errors="replace")[-2000:] for path in logs)
            raise RuntimeError(f"Slurm did not start ({', '.join(ended) or 'too slow'}):\n{said}")
        time.sleep(0.05)


def _end_jobs(slurm: Slurm) -> None:
    """Cancel what is left, and wait until it has gone."""
    slurm.call("scancel", "--user", getpass.getuser(), check=False)
    until = time.monotonic() + 20.0
    while slurm.call("squeue", "-h", check=False).strip() and time.monotonic() < until:
        time.sleep(0.1)
