#!/usr/bin/env python3
"""Spark through Overhand, its own sort shuffle, Celeborn and Uniffle, side by side.

In each round each workload runs through each service, the order of the services rotated by the round, each time in a
fresh virtual machine beside fresh servers: nothing else runs meanwhile. Prints one JSON line per step, then a table
per workload (Markdown). Fails when a step or a service fails, or when an answer differs from Spark's own shuffle.

Started by `./dev bench spark`, which says where Spark, the runner and the release build are.
"""
import argparse
import os
import shutil
import signal
import subprocess
import sys

from celeborn import Celeborn
from overhand import Overhand
from results import Results
from service import Service
from session import MASTERS, Session
from uniffle import Uniffle
from workload import QUICK, all_workloads

SERVICES = {service.name: service for service in (Overhand, Service, Celeborn, Uniffle)}


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True, help="directory of the release build")
    parser.add_argument("--spark-home", required=True)
    parser.add_argument("--jar", required=True, help="the runner's")
    parser.add_argument("--dir", required=True, help="for data, logs and results")
    parser.add_argument("--celeborn-home", required=True, help="its binary release")
    parser.add_argument("--uniffle-home", required=True, help="its binary release")
    parser.add_argument("--quick", action="store_true", help="one round of a part of the workloads, smaller")
    parser.add_argument("--rounds", type=int, help="default 3, quick 1")
    parser.add_argument("--services", help=f"comma separated, of {','.join(SERVICES)}; default: all that are installed")
    parser.add_argument("--workloads", help="comma separated; default: all, quick: " + ",".join(QUICK))
    parser.add_argument("--steps", help="comma separated: only these queries")
    parser.add_argument("--warm-up", choices=["step", "all"],
                        help="what runs uncounted first in each virtual machine: one step, or a pass over all; "
                        "default all, quick: step")
    parser.add_argument("--master", choices=sorted(MASTERS), default="local",
                        help="local: driver and executor in one process; cluster: two executors in processes of "
                        "their own")
    parser.add_argument("--broadcast", action="store_true",
                        help="let queries broadcast small tables, as Spark does by default: fewer shuffles")
    parser.add_argument("--tpch-scale", default="1")
    parser.add_argument("--tpcds-scale", default="1")
    parser.add_argument("--sort-bytes", type=int, help="default 10 GiB, quick 1 GiB")
    parser.add_argument("--skew-bytes", type=int, help="default 4 GiB, quick 1 GiB")
    parser.add_argument("--blocks", type=int, help="map tasks, and reduce tasks; default 5000, quick 500")
    parser.add_argument("--records", type=int, help="of PySpark; default 2000000, quick 200000")
    parser.add_argument("--limit-s", type=int, default=7200, help="a virtual machine that takes longer is ended")
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.warm_up = options.warm_up or ("step" if options.quick else "all")
    options.services = options.services.split(",") if options.services else services_here(options)
    return options


def services_here(options):
    """Those that can be run here; says what is left out, and why."""
    here = []
    for name, service in SERVICES.items():
        missing = service.missing(options)
        if missing:
            print(f"== LEFT OUT: {name}: {missing} (docs/PERFORMANCE.md says how to add it)", file=sys.stderr)
        else:
            here.append(name)
    return here


def chosen_workloads(options):
    """The workloads to run; says what is left out."""
    workloads = all_workloads(options)
    names = options.workloads.split(",") if options.workloads else QUICK if options.quick else list(workloads)
    for name in names:
        if name not in workloads:
            sys.exit(f"no such workload: {name} (there are {', '.join(workloads)})")
    for name in options.services:
        if name not in SERVICES:
            sys.exit(f"no such service: {name} (there are {', '.join(SERVICES)})")
    left_out = [name for name in workloads if name not in names]
    if left_out:
        print(f"== left out: {', '.join(left_out)} (choose with --workloads)", file=sys.stderr)
    return [workloads[name] for name in names]


def make_data(workloads):
    """Where the tables of each benchmark are, once they are made."""
    scripts = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "scripts")
    data = {}
    for workload in workloads:
        if workload.tables:
            done = subprocess.run([os.path.join(scripts, "tpc_data.sh"), workload.tables, workload.scale], check=True,
                                  stdout=subprocess.PIPE, text=True)
            data[workload.tables] = done.stdout.strip()
    return data


def run_once(options, workload, name, number, results):
    """One workload through one service, in the round of that number."""
    directory = os.path.join(options.dir, f"{number}-{workload.name}-{name}")
    service = SERVICES[name](options, os.path.join(directory, "servers"))
    print(f"== round {number}: {workload.title()} through {name}", file=sys.stderr, flush=True)
    try:
        service.start()
        for figures in Session(options, workload, service, directory).run():
            results.add({"workload": workload.title(), "round": number, "service": name, **figures})
    except (RuntimeError, OSError) as error:
        results.fail(f"{workload.name} through {name}, round {number}: {error} (logs: {directory})")
    finally:
        service.stop()
        for waste in service.data_directories() + [os.path.join(directory, "local")]:
            shutil.rmtree(waste, ignore_errors=True)


def main():
    options = parse(sys.argv[1:])
    workloads = chosen_workloads(options)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    shutil.rmtree(options.dir, ignore_errors=True)
    os.makedirs(options.dir)
    options.data = make_data(workloads)
    options.jar = shutil.copy(options.jar, options.dir)  # another build may replace it meanwhile

    results = Results(os.path.join(options.dir, "results.jsonl"))
    for number in range(1, options.rounds + 1):
        turn = (number - 1) % len(options.services)
        for workload in workloads:
            for name in options.services[turn:] + options.services[:turn]:
                run_once(options, workload, name, number, results)

    for workload in workloads:
        results.print_table(workload.title(), options.services)
    steps, different = results.compare_answers()
    print(f"\n{steps - len({line.split(':')[0] for line in different})} of {steps} steps have the same answer through "
          f"every service as through Spark's own shuffle")
    for line in different + results.failures:
        print(line)
    return 1 if different or results.failures else 0


if __name__ == "__main__":
    sys.exit(main())
