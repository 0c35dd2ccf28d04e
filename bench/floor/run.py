#!/usr/bin/env python3
"""Measure one shard of a worker against bare loops that do the same with sockets and a disk.

Runs loop, worker, loop, worker ... so that all see the same noise, and compares medians. Prints one
JSON line per run, then tables. CPU seconds are those of a whole process, the kernel's io_uring
workers included: for a loop without the thread at the connection's other end, for a worker all.
Both sides have touched their memory before they are measured: the worker is warmed up with as
many bytes again as its memory holds twice.
"""
import argparse
import contextlib
import json
import os
import re
import select
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
START_TIMEOUT_S = 30
RUN_TIMEOUT_S = 900
MEMORY_BYTES = 512 * MIB

# Block bytes, partitions. Each partition gets two blocks at least.
QUICK_CASES = [(256 * KIB, 100), (4 * KIB, 10), (4 * KIB, 10000), (64 * KIB, 1000), (1 * MIB, 100)]
FULL_CASES = [(block, partitions) for block in (4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, 1 * MIB)
              for partitions in (10, 100, 1000, 10000, 100000)]


class Worker:
    """A worker of one shard on a directory of its own.

    When it ends its files are emptied, and removed only when all is over: for minutes after a file
    was removed, ext4 looks at its inode in vain each time a file is made in that place, which would
    slow down the next run more than anything that is to be measured.
    """

    def __init__(self, bin_dir, scratch, settings):
        self.directory = tempfile.mkdtemp(prefix="worker-", dir=scratch)
        command = [os.path.join(bin_dir, "overhand-worker")]
        for key, value in {"listen.host": "127.0.0.1", "listen.port": 0, "id": "bench",
                           "http.enabled": "off", "masters": "127.0.0.1:9",
                           "disk.directories": self.directory, **settings}.items():
            command += ["--set", f"{key}={value}"]
        started = time.monotonic()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        text = b""
        while b"serving" not in text or not text.endswith(b"\n"):
            if not select.select([self.process.stdout], [], [], START_TIMEOUT_S)[0]:
                break
            more = os.read(self.process.stdout.fileno(), 4096)
            if not more:
                break
            text += more
        self.start_s = time.monotonic() - started
        match = re.search(rb"serving \S+:(\d+) ", text)
        if not match:
            self.end()
            sys.exit("the worker did not come up: " + " ".join(command))
        self.port = int(match.group(1))

    def resident_mib(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1)) / 1024

    def end(self):
        """Without ceremony: its data is thrown away."""
        self.process.kill()
        self.process.stdout.close()
        self.process.wait()
        for entry in os.scandir(self.directory):
            os.truncate(entry.path, 0)


@contextlib.contextmanager
def worker(args, scratch, **settings):
    one = Worker(args.bin, scratch, {key.replace("_", "."): value for key, value in settings.items()})
    try:
        yield one
    finally:
        one.end()


def run_json(command):
    """Run a benchmark program; returns the JSON lines it printed."""
    done = subprocess.run([str(word) for word in command], check=True, stdout=subprocess.PIPE, text=True,
                          timeout=RUN_TIMEOUT_S)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    for row in rows:
        print(json.dumps(row), flush=True)
    return rows


def run_loop(args, scratch, loop, n_bytes, block=256 * KIB, partitions=100):
    return run_json([os.path.join(args.bin, "overhand-bench-floor"), "--dir", scratch, "--bytes", n_bytes,
                     "--block", block, "--partitions", partitions, loop])[0]


def run_load(args, one, n_bytes, *more):
    return run_json([os.path.join(args.bin, "overhand-bench-load"), "--port", one.port, "--bytes", n_bytes,
                     "--worker-pid", one.process.pid, *more])


def medians(rows):
    return {key: statistics.median(row[key] for row in rows)
            for key in ("gb_per_s", "cpu_s_per_gb", "peak_mib")}


def size(n_bytes):
    return f"{n_bytes // MIB} MiB" if n_bytes >= MIB else f"{n_bytes // KIB} KiB"


def print_ratios(title, floors, mine):
    """One line: the worker's medians and their ratio to those of each bare loop."""
    line = f"{title:<34}{mine['gb_per_s']:>7.2f}{mine['cpu_s_per_gb']:>8.3f}{mine['peak_mib']:>7.0f}"
    for floor in floors:
        line += (f"  |{floor['gb_per_s']:>6.2f}{floor['cpu_s_per_gb']:>7.3f}{floor['peak_mib']:>5.0f}"
                 f"{mine['gb_per_s'] / floor['gb_per_s']:>8.2f}x{mine['cpu_s_per_gb'] / floor['cpu_s_per_gb']:>6.2f}x")
    print(line)


def print_head(title, loops):
    print(f"\n{title}: GB/s, CPU s/GB, peak MiB")
    print(f"{'':<34}{'worker':>22}" + "".join(f"  |{loop:>25}  ratio" for loop in loops))


def bench_idle(args, scratch):
    seconds, resident = [], []
    for _ in range(args.runs):
        with worker(args, scratch) as one:
            seconds.append(one.start_s)
            resident.append(one.resident_mib())
    return lambda: print(f"\nidle worker: {statistics.median(resident):.1f} MiB resident (goal <= 16), "
                         f"{statistics.median(seconds) * 1000:.0f} ms from start to serving (goal <= 50)")


def bench_ingest_case(args, scratch, block, partitions):
    loops = {"recv+copy+write": [], "recv+scatter+write": []}
    mine = []
    for _ in range(args.runs):
        for loop, rows in loops.items():
            rows.append(run_loop(args, scratch, loop, args.bytes, block, partitions))
        with worker(args, scratch, shards=1, memory_limit=MEMORY_BYTES, disk_direct=args.direct) as one:
            mine.append(run_load(args, one, args.bytes, "--warm", 2 * MEMORY_BYTES, "--block", block,
                                 "--partitions", partitions)[0])
    return [medians(rows) for rows in loops.values()], medians(mine)


def bench_ingest(args, scratch):
    results = [(f"{size(block)} x {partitions}", *bench_ingest_case(args, scratch, block, partitions))
               for block, partitions in args.cases if 2 * block * partitions <= args.bytes]

    def show():
        print_head("ingest to disk, block x partitions (goal against recv+copy+write: >= 0.85x, <= 1.3x)",
                   ["recv+copy+write", "recv+scatter+write"])
        for title, floors, mine in results:
            print_ratios(title, floors, mine)
    return show


def bench_receive(args, scratch):
    rows = {loop: [run_loop(args, scratch, loop, args.bytes) for _ in range(args.runs)]
            for loop in ("recv", "recv+copy", "recv+scatter")}

    def show():
        print("\nbare loops without a disk: GB/s, CPU s/GB")
        for loop, all_rows in rows.items():
            mine = medians(all_rows)
            print(f"{loop:<34}{mine['gb_per_s']:>7.2f}{mine['cpu_s_per_gb']:>8.3f}")
    return show


def bench_serve_case(args, scratch, title, memory, loops, streams):
    rows = {loop: [] for loop in loops}
    mine = []
    n_bytes = args.bytes // 2
    for _ in range(args.runs):
        for loop, all_rows in rows.items():
            all_rows.append(run_loop(args, scratch, loop, n_bytes))
        with worker(args, scratch, shards=1, memory_limit=memory, disk_direct=args.direct) as one:
            mine += run_load(args, one, n_bytes, "--serve", 2, "--streams", streams)[1:]
    return title, [medians(all_rows) for all_rows in rows.values()], medians(mine)


def bench_serve(args, scratch):
    warm_loops, cold_loops = ["send", "sendfile-warm"], ["read+send-cold", "sendfile-cold"]
    warm = bench_serve_case(args, scratch, "from memory, 4 readers", 2 * args.bytes, warm_loops, 4)
    cold = [bench_serve_case(args, scratch, f"from disk, {streams} reader(s)", 64 * MIB, cold_loops, streams)
            for streams in (4, 1)]

    def show():
        print_head("serve (goal: >= 0.85x of the first)", warm_loops)
        print_ratios(*warm)
        print_head("serve (goal: >= 0.85x of the first)", cold_loops)
        for case in cold:
            print_ratios(*case)
    return show


STAGES = {"idle": bench_idle, "receive": bench_receive, "ingest": bench_ingest, "serve": bench_serve}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", required=True, help="directory of the release build's programs")
    parser.add_argument("--dir", help="directory on the disk to measure; default: a temporary one")
    parser.add_argument("--quick", action="store_true", help="a few minutes: fewer cases, fewer bytes")
    parser.add_argument("--bytes", type=int, help="of one run; default: 4 GiB, quick 1 GiB")
    parser.add_argument("--runs", type=int, help="of each kind; default: 5, quick 3")
    parser.add_argument("--direct", choices=["on", "off"], default="on", help="the worker's disk.direct")
    parser.add_argument("--only", choices=list(STAGES), nargs="+", default=list(STAGES), help="stages to run")
    args = parser.parse_args()
    args.bytes = args.bytes or (GIB if args.quick else 4 * GIB)
    args.runs = args.runs or (3 if args.quick else 5)
    args.cases = QUICK_CASES if args.quick else FULL_CASES

    if args.dir:
        os.makedirs(args.dir, exist_ok=True)
    scratch = tempfile.mkdtemp(prefix="overhand-bench-", dir=args.dir)
    try:
        shows = [STAGES[stage](args, scratch) for stage in args.only]
    finally:
        shutil.rmtree(scratch)
    for show in shows:
        show()


if __name__ == "__main__":
    main()
