#!/usr/bin/env python3
"""Measure one worker against the bare loop, and an idle worker against its goals.

Runs overhand-bench-floor and overhand-bench-ingest in turn, so that both see the same noise, and prints
medians and their ratio. Each run is bounded by --bytes. Prints one JSON line per run, then a table.
"""
import argparse
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

START_TIMEOUT_S = 30


def start_worker(bin_dir, directory, settings):
    """Start a worker of one shard; returns the process, its port and the seconds until it served."""
    command = [os.path.join(bin_dir, "overhand-worker"), "--set", "listen.host=127.0.0.1",
               "--set", "listen.port=0", "--set", "id=bench", "--set", "masters=127.0.0.1:9",
               "--set", f"disk.directories={directory}"]
    for key, value in settings.items():
        command += ["--set", f"{key}={value}"]
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    for line in process.stdout:
        match = re.search(r"serving \S+:(\d+) ", line)
        if match:
            return process, int(match.group(1)), time.monotonic() - started
        if time.monotonic() - started > START_TIMEOUT_S:
            break
    process.kill()
    sys.exit("the worker did not come up: " + " ".join(command))


def stop_worker(process):
    """End it without ceremony: its data is thrown away with its directory."""
    process.send_signal(signal.SIGKILL)
    process.stdout.close()
    process.wait()


def resident_mib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    raise RuntimeError("no VmRSS")


def run_json(command):
    """Run a benchmark program; returns the JSON lines it printed."""
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    for row in rows:
        print(json.dumps(row), flush=True)
    return rows


def bench_idle(args, scratch):
    seconds, resident = [], []
    for n in range(args.runs):
        directory = os.path.join(scratch, f"idle{n}")
        process, _, took = start_worker(args.bin, directory, {})
        seconds.append(took)
        resident.append(resident_mib(process.pid))
        stop_worker(process)
    return statistics.median(seconds), statistics.median(resident)


def bench_ingest(args, scratch):
    """Interleaved: floor, worker, floor, worker ... Returns (floor, worker) medians of GB/s and of CPU s per GB."""
    floor_rate, floor_cpu, rate, cpu = [], [], [], []
    for n in range(args.runs):
        rows = run_json([os.path.join(args.bin, "overhand-bench-floor"), "--dir", scratch,
                         "--bytes", str(args.bytes)])
        write = [row for row in rows if "write" in row["variant"]][-1]
        floor_rate.append(write["gb_per_s"])
        floor_cpu.append(write["cpu_s_per_gb"])
        directory = os.path.join(scratch, f"ingest{n}")
        process, port, _ = start_worker(args.bin, directory, {
            "shards": 1, "memory.limit": "512MiB", "disk.direct": "on"})
        row = run_json([os.path.join(args.bin, "overhand-bench-ingest"), "--port", str(port),
                        "--bytes", str(args.bytes), "--worker-pid", str(process.pid)])[0]
        rate.append(row["gb_per_s"])
        cpu.append(row["cpu_s_per_gb"])
        stop_worker(process)
        shutil.rmtree(directory)
    return [statistics.median(x) for x in (floor_rate, floor_cpu, rate, cpu)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", required=True, help="directory of the release build's programs")
    parser.add_argument("--dir", help="directory on the disk to measure; default: a temporary one")
    parser.add_argument("--bytes", type=int, default=4 << 30, help="per run")
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()

    scratch = tempfile.mkdtemp(prefix="overhand-bench-", dir=args.dir)
    try:
        start_s, resident = bench_idle(args, scratch)
        floor_rate, floor_cpu, rate, cpu = bench_ingest(args, scratch)
    finally:
        shutil.rmtree(scratch)

    print()
    print(f"{'measure':<42}{'measured':>14}{'goal':>12}")
    print(f"{'idle worker, resident':<42}{resident:>10.1f} MiB{'<= 16 MiB':>12}")
    print(f"{'start to serving':<42}{start_s * 1000:>11.0f} ms{'<= 50 ms':>12}")
    print(f"{'ingest to disk, worker / bare loop':<42}{rate / floor_rate:>14.2f}{'>= 0.70':>12}"
          f"   ({rate:.2f} / {floor_rate:.2f} GB/s)")
    print(f"{'  CPU per byte, worker / bare loop':<42}{cpu / floor_cpu:>14.2f}{'':>12}"
          f"   ({cpu:.3f} / {floor_cpu:.3f} s/GB)")


if __name__ == "__main__":
    main()
