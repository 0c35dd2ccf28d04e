"""Processes: start and end them, and what they have used.

Everything comes from /proc. A tree is a process and all its descendants; the CPU time of descendants that have
ended is in their parents' records, so that the sum over a tree only grows.
"""
import dataclasses
import os
import signal
import subprocess
import time

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
END_TIMEOUT_S = 30


@dataclasses.dataclass
class Usage:
    """What some processes have used since they began."""

    cpu_s: float = 0.0
    peak_mib: float = 0.0
    disk_written_mb: float = 0.0

    def since(self, earlier):
        """CPU and bytes of an interval; the peak stays that of the whole life."""
        return Usage(self.cpu_s - earlier.cpu_s, self.peak_mib,
                     self.disk_written_mb - earlier.disk_written_mb)


def start(command, log, **options):
    """Start a process as the head of its own group; what it says goes to the end of a log file."""
    with open(log, "ab") as file:
        return subprocess.Popen(command, stderr=file, start_new_session=True,
                                **{"stdin": subprocess.DEVNULL, "stdout": file, **options})


def end(process):
    """End a process that start() began, and its group; returns its exit status."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(END_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        pass
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # nobody of the group is left
    return process.wait()


def wait_until(condition, timeout_s, what, processes=()):
    """Ask again and again; fails when the time is over or one of the processes has ended."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        for process in processes:
            if process.poll() is not None:
                raise RuntimeError(f"{what}: a process ended with status {process.returncode}")
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what}: not within {timeout_s} s")
        time.sleep(0.1)


def stat_fields(pid):
    """The fields of /proc/PID/stat behind the name, which may hold anything: state, parent ..."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
        return stat.read().rpartition(")")[2].split()


def tree(root):
    """The process ids of a process and its descendants."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                children.setdefault(int(stat_fields(name)[1]), []).append(int(name))
            except OSError:
                pass  # it ended meanwhile
    found, ahead = [], [root]
    while ahead:
        pid = ahead.pop()
        found.append(pid)
        ahead += children.get(pid, [])
    return found


def usage_of(pid):
    fields = stat_fields(pid)
    usage = Usage(cpu_s=sum(int(field) for field in fields[11:15]) / TICKS_PER_S)
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                usage.peak_mib = int(line.split()[1]) / 1024
    with open(f"/proc/{pid}/io", encoding="ascii") as io:
        for line in io:
            if line.startswith("write_bytes:"):
                usage.disk_written_mb = int(line.split()[1]) / 1e6
    return usage


def usage(roots):
    """The sum over the trees of some processes. The peaks of different moments are added, too."""
    total = Usage()
    for root in roots:
        for pid in tree(root):
            try:
                one = usage_of(pid)
            except OSError:
                continue  # it ended meanwhile
            total.cpu_s += one.cpu_s
            total.peak_mib += one.peak_mib
            total.disk_written_mb += one.disk_written_mb
    return total


def disk_used_mb(directories):
    """What the files below some directories occupy now."""
    blocks = 0
    for directory in directories:
        for folder, _, names in os.walk(directory):
            for name in names:
                try:
                    blocks += os.lstat(os.path.join(folder, name)).st_blocks
                except FileNotFoundError:
                    pass  # deleted meanwhile
    return blocks * 512 / 1e6
