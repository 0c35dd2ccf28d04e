#!/usr/bin/env python3
"""Measure how cost grows with size: blocks, partitions, applications, workers, connections.

  blocks       shuffles of 10^2 to 10^8 tiny blocks through the public API, two workers
  partitions   1 M partitions of 100 bytes on one worker: in memory, short of memory, over a restart
  apps         200 applications at once on one worker
  fleet        heartbeats and assignments of a master of 10 to 1,000 workers, without sockets
  connections  idle executors of one worker

Prints one JSON line per run, then a table per section. --quick stops at 10^6 blocks and 100,000
partitions. Each run has processes and a directory of its own.
"""
import argparse
import json
import os
import subprocess
import sys

from cluster import Cluster

READ_TASK_BLOCKS = 100_000  # what one reading task expects
RECORD_BYTES = 100          # of a small partition
BLOCK_HEADER_BYTES = 32


class Bench:
    """Runs load programs and keeps what they printed."""

    def __init__(self, args):
        self.args, self.rows, self.n_clusters = args, [], 0

    def cluster(self, n_workers=1, settings=None):
        self.n_clusters += 1
        return Cluster(self.args.bin, os.path.join(self.args.dir, f"scale{self.n_clusters}"),
                       n_workers, settings)

    def program(self, name):
        return os.path.join(self.args.bin, "overhand-bench-scale-" + name)

    def note(self, row, **more):
        row.update(more)
        print(json.dumps(row), flush=True)
        self.rows.append(row)
        return row

    def run(self, name, options, **more):
        done = subprocess.run([self.program(name)] + flags(options), check=True,
                              stdout=subprocess.PIPE, text=True)
        return self.note(json.loads(done.stdout), **more)

    def of(self, bench, section=None):
        return [row for row in self.rows
                if row["bench"] == bench and (section is None or row.get("section") == section)]


def flags(options):
    return [text for key, value in options.items() for text in ("--" + key, str(value))]


def table(title, columns, rows):
    print("\n" + title)
    lines = [columns] + [[str(cell) for cell in row] for row in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    for line in lines:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths)))


def mib(n_bytes):
    return f"{n_bytes / (1 << 20):.0f}"


# ---- blocks ----

def bench_blocks(bench):
    sizes = [(10, 10, 500), (32, 32, 100), (100, 100, 20), (316, 316, 5), (1000, 1000, 1)]
    if not bench.args.quick:
        sizes += [(3162, 3162, 1), (10000, 10000, 1)]
    for maps, partitions, repeat in sizes:
        cluster = bench.cluster(2, {"memory.limit": "5GiB"})
        try:
            bench.run("blocks", {"masters": cluster.master, "pids": cluster.pids(), "maps": maps,
                                 "partitions": partitions, "repeat": repeat,
                                 "range": max(1, READ_TASK_BLOCKS // maps)}, section="blocks")
        finally:
            cluster.stop()
    table("cost per block, two workers (ns of CPU; MiB)",
          ["maps x partitions", "write s", "read s", "client write", "client read", "worker write",
           "worker read", "drop", "worker peak", "client peak", "sockets"],
          [[f"{row['maps']} x {row['partitions']}", f"{row['write_s'] / row['repeat']:.3f}",
            f"{row['read_s'] / row['repeat']:.3f}", int(row["write_client_ns"]),
            int(row["read_client_ns"]), int(row["write_worker_ns"]), int(row["read_worker_ns"]),
            int(row["drop_worker_ns"]), mib(row["worker_peak"]), mib(row["client_peak"]),
            row["sockets"]] for row in bench.of("scale-blocks", "blocks")])


# ---- partitions ----

def partition_options(bench, cluster):
    n_partitions = 100_000 if bench.args.quick else 1_000_000
    return {"masters": cluster.master, "pids": cluster.pids(), "maps": 1, "partitions": n_partitions,
            "record": RECORD_BYTES, "range": 50_000}


def bench_partitions_once(bench, section, settings):
    cluster = bench.cluster(1, settings)
    try:
        bench.run("blocks", partition_options(bench, cluster), section=section)
    finally:
        cluster.stop()


def bench_partitions_restart(bench):
    """Write, stop the worker as an operator does, start it again, read."""
    cluster = bench.cluster(1, {"memory.limit": "4GiB", "shutdown.timeout": "1h"})
    try:
        client = subprocess.Popen([bench.program("blocks")] + flags(partition_options(bench, cluster)) +
                                  ["--pause"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if client.stdout.readline() != "written\n":
            sys.exit("the client did not write")
        stop_s, code = cluster.stop_worker()
        files, disk_bytes = cluster.disk()
        start_s = cluster.restart_worker()
        out, _ = client.communicate(cluster.pids() + "\n")
        if client.returncode != 0:
            sys.exit("the client failed")
        bench.note(json.loads(out), section="partitions restart", stop_s=round(stop_s, 2), stop_code=code,
                   start_s=round(start_s, 2), files=files, disk_bytes=disk_bytes)
    finally:
        cluster.stop()


def bench_partitions(bench):
    bench_partitions_once(bench, "partitions in memory", {"memory.limit": "4GiB"})
    bench_partitions_once(bench, "partitions short of memory",
                          {"memory.limit": "1500MiB", "memory.flush_at": "1%"})
    bench_partitions_restart(bench)
    rows = [row for row in bench.rows if row.get("section", "").startswith("partitions")]
    data = RECORD_BYTES + BLOCK_HEADER_BYTES
    table(f"{rows[0]['partitions']} partitions of {data} bytes on one worker",
          ["", "write s", "read s", "drop s", "bytes each, data aside", "peak MiB", "after drop MiB",
           "stop s", "start s", "files", "disk MiB"],
          [[row["section"][len("partitions "):], row["write_s"], row["read_s"], row["drop_s"],
            f"{(row['worker_written'] - row['worker_before']) / row['partitions'] - data:.0f}",
            mib(row["worker_peak"]), mib(row["worker_dropped"]), row.get("stop_s", ""),
            row.get("start_s", ""), row.get("files", ""),
            mib(row["disk_bytes"]) if "disk_bytes" in row else ""] for row in rows])


# ---- applications ----

def bench_apps(bench):
    for n_apps in (1, 20, 200):
        cluster = bench.cluster()
        try:
            bench.run("blocks", {"masters": cluster.master, "pids": cluster.pids(), "apps": n_apps,
                                 "maps": 10, "partitions": 20, "record": 1000,
                                 "threads": min(16, n_apps), "repeat": 10}, section="apps")
        finally:
            cluster.stop()
    table("applications at once on one worker, each with shuffles of 10 x 20 blocks, per shuffle",
          ["applications", "open ms", "write ms", "read ms", "drop ms", "worker CPU us", "client CPU us",
           "worker bytes per idle application", "sockets"],
          [[row["apps"]] + [f"{row[phase + '_s'] * 1000 / row['repeat'] / row['apps']:.2f}"
                            for phase in ("open", "write", "read", "drop")] +
           [f"{sum(row[phase + side] for phase in ('write', 'read', 'drop')) * 0.2:.0f}"
            for side in ("_worker_ns", "_client_ns")] +
           [f"{(row['worker_dropped'] - row['worker_before']) / row['apps']:.0f}", row["sockets"]]
           for row in bench.of("scale-blocks", "apps")])


# ---- the fleet ----

def bench_fleet(bench):
    shapes = [(10, 1000), (100, 1000), (1000, 1000), (1000, 200), (1000, 20000)]
    for workers, size in shapes:
        bench.run("fleet", {"workers": workers, "maps": size, "partitions": size,
                            "shuffles": 1000 if bench.args.quick else 10000})
    table("one master",
          ["workers", "maps x partitions", "us per heartbeat", "us per assignment", "max / mean load",
           "layout bytes", "master MiB"],
          [[row["workers"], f"{row['maps']} x {row['partitions']}", row["heartbeat_us"], row["assign_us"],
            row["max_over_mean"], row["layout_bytes"], f"{row['master_bytes'] / (1 << 20):.1f}"]
           for row in bench.of("scale-fleet")])


# ---- connections ----

def bench_connections(bench):
    for n_connections in (100, 1000, 3000):
        cluster = bench.cluster(1, {"shards": "2"})
        try:
            bench.run("connections", {"port": cluster.worker_ports[0], "pids": cluster.pids(),
                                      "connections": n_connections, "shards": 2})
        finally:
            cluster.stop()
    table("idle connections of one worker",
          ["connections", "us of CPU per connect", "bytes each, greeted", "after one push"],
          [[row["connections"], row["connect_worker_us"], int(row["greeted_bytes"]),
            int(row["pushed_bytes"])] for row in bench.of("scale-connections")])


SECTIONS = {"blocks": bench_blocks, "partitions": bench_partitions, "apps": bench_apps,
            "fleet": bench_fleet, "connections": bench_connections}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True, help="directory of the release build's programs")
    parser.add_argument("--dir", required=True, help="directory on the disk to measure")
    parser.add_argument("--quick", action="store_true", help="small sizes only")
    parser.add_argument("--only", action="append", choices=SECTIONS, help="a section; may be repeated")
    args = parser.parse_args()

    os.makedirs(args.dir, exist_ok=True)
    bench = Bench(args)
    for name, section in SECTIONS.items():
        if not args.only or name in args.only:
            section(bench)


if __name__ == "__main__":
    main()
