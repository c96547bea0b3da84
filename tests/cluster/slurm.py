"""SLURM on this machine for as long as a test needs it: one node, no systemd."""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

PACKAGES = ["slurm-wlm", "munge", "slurm-client"]
PROGRAMS = ["/usr/sbin/munged", "/usr/sbin/slurmctld", "/usr/sbin/slurmd", "/usr/bin/sbatch"]
# Where SLURM's own helpers look; a path in SLURM_CONF does not reach the inner srun.
CONFIGURATION = Path("/etc/slurm")
FILES = ["slurm.conf", "gres.conf"]
MUNGE_PID = Path("/run/munge/munged.pid")
NETWORK_SECONDS = 300
PATIENCE = 30.0  # seconds for a daemon to come or go

# No cgroups (they want systemd); memory is watched every second; accounting in memory only.
SLURM_CONF = """\
ClusterName=test
SlurmctldHost=localhost(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SchedulerParameters=sched_interval=1,sched_min_interval=0,bf_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
MinJobAge=3600
NodeName=localhost NodeAddr=127.0.0.1 CPUs={cores} RealMemory={memory} Gres=gpu:2 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=1-00:00:00 State=UP
"""
GRES_CONF = "Name=gpu File=/dev/null\nName=gpu File=/dev/zero\n"  # two GPUs in name only


class Unavailable(Exception):
    """This machine cannot become a cluster, for the reason given."""


def install() -> None:
    """Install SLURM from Debian's packages where it is missing."""
    if all(Path(program).exists() for program in PROGRAMS):
        return
    if os.geteuid() != 0:
        raise Unavailable("SLURM is not installed, and only root could install it")
    if shutil.which("apt-get") is None:
        raise Unavailable("SLURM is not installed, and there is no apt-get")
    install = ["install", "--yes", "--quiet", "--no-install-recommends", *PACKAGES]
    if _apt(install) is not None:
        for arguments in (["update", "--quiet"], install):
            problem = _apt(arguments)
            if problem is not None:
                raise Unavailable(f"apt-get {arguments[0]} failed: {problem}")


def _apt(arguments: list[str]) -> str | None:
    """What went wrong, if anything did."""
    try:
        ran = subprocess.run(
            ["apt-get", *arguments],
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            capture_output=True,
            text=True,
            timeout=NETWORK_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return f"no end within {NETWORK_SECONDS} s"
    return (ran.stderr or ran.stdout).strip()[-500:] if ran.returncode else None


def daemons() -> set[int]:
    """Processes of SLURM and its messenger that run; what ended unreaped does not."""
    names = {"munged", "slurmctld", "slurmd", "slurmstepd"}
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            name = (folder / "comm").read_text().strip()
            if name in names and not _gone(int(folder.name)):
                found.add(int(folder.name))
    return found


class Cluster:
    """The daemons, told apart from others by the pid files in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pid_files = [folder / "slurmd.pid", folder / "slurmctld.pid"]

    def start(self) -> None:
        """Start the daemons and wait for the node."""
        self._check()
        self._configure()
        if _running(MUNGE_PID) is None:
            self._start_munge()
        _call("/usr/sbin/slurmctld")
        _call("/usr/sbin/slurmd", "-N", "localhost")
        _wait(lambda: "idle" in _call("sinfo", "--noheader", "--format=%T"), "the node is not idle")

    def stop(self) -> None:
        """Stop the jobs, then the daemons; remove the configuration. Harmless when repeated."""
        with suppress(OSError, subprocess.SubprocessError):
            subprocess.run(["scancel", "--user=root"], timeout=10, capture_output=True)
        for pid_file in self._pid_files:
            _stop(pid_file)
        for name in FILES:
            if self._ours(name):
                (CONFIGURATION / name).unlink()

    def submissions(self) -> list[dict[str, str]]:
        """Every submission that the controller remembers, as ``scontrol show job`` has it."""
        lines = _call("scontrol", "--oneliner", "show", "job").splitlines()
        jobs = [dict(re.findall(r"(\S+?)=(\S*)", line)) for line in lines]
        return [job for job in jobs if job]

    def _check(self) -> None:
        if os.geteuid() != 0:
            raise Unavailable("only root can start the daemons")
        for name in FILES:
            if os.path.lexists(CONFIGURATION / name):
                raise Unavailable(f"{CONFIGURATION / name} exists: there is a cluster already")

    def _ours(self, name: str) -> bool:
        place = CONFIGURATION / name
        return place.is_symlink() and place.readlink() == self._folder / name

    def _configure(self) -> None:
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        values = {
            "folder": self._folder,
            "cores": os.cpu_count(),
            "memory": int(0.9 * pages / 2**20),
        }
        for folder in (self._folder / "state", self._folder / "spool", CONFIGURATION):
            folder.mkdir(parents=True, exist_ok=True)
        for name, content in zip(FILES, (SLURM_CONF, GRES_CONF), strict=True):
            (self._folder / name).write_text(content.format(**values))
            (CONFIGURATION / name).symlink_to(self._folder / name)

    def _start_munge(self) -> None:
        self._pid_files.append(MUNGE_PID)  # a munged that runs already is not ours to stop
        MUNGE_PID.parent.mkdir(parents=True, exist_ok=True)
        shutil.chown(MUNGE_PID.parent, "munge", "munge")
        _call("runuser", "-u", "munge", "--", "/usr/sbin/munged")


def _call(*command: str) -> str:
    ran = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert ran.returncode == 0, f"{command[0]} failed: {(ran.stderr or ran.stdout)[-500:]}"
    return ran.stdout


def _running(pid_file: Path) -> int | None:
    """Process that a pid file names, if it runs."""
    with suppress(OSError, ValueError):
        pid = int(pid_file.read_text())
        return None if _gone(pid) else pid
    return None


def _stop(pid_file: Path) -> None:
    pid = _running(pid_file)
    if pid is None:
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, AssertionError):
            os.kill(pid, number)
            _wait(lambda: _gone(pid), f"process {pid} does not end")


def _gone(pid: int) -> bool:
    """Whether a process has ended; an unreaped zombie has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def _wait(condition: Callable[[], bool], problem: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, problem
        time.sleep(0.2)
