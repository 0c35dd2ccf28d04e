#!/usr/bin/env python3
"""Tell rows as columns, or not, then compress: what is stored and what it costs.

Runs overhand-bench-rows on the files that bench/rows/capture.sh wrote, passes on its JSON lines (one for each
input and way), then prints a table. Inputs of one exchange, <query>-<exchange>.<map task>.rows, are one line of
the table. Ratios are against lz4 on the same rows.
"""
import argparse
import glob
import json
import os
import subprocess
import sys

WAYS = ("lz4", "rows+lz4", "zstd", "rows+zstd")


def run(command):
    """Yield the JSON lines of the program, printed as they come."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
            yield json.loads(line)
    if process.returncode != 0:
        sys.exit(f"{command[0]} failed")


def add(sums, row):
    for key in ("rows", "raw", "stored"):
        sums[key] = sums.get(key, 0) + row[key]
    for key in ("encode", "decode"):
        sums[key] = sums.get(key, 0) + row[f"{key}_ns_row"] * row["rows"]


def print_line(name, ways):
    plain, rows = ways["lz4"], ways["lz4"]["rows"]
    cells = [f"{name:<12} {plain['raw'] / rows:6.0f} {plain['raw'] / 1e6:7.1f}"]
    for way in WAYS:
        sums = ways[way]
        cells.append(f"{sums['stored'] / sums['raw']:6.3f} {sums['encode'] / rows:5.0f} {sums['decode'] / rows:5.0f}")
    told = ways["rows+lz4"]
    cells.append(f"{told['stored'] / plain['stored']:5.2f} {told['encode'] / plain['encode']:5.2f} "
                 f"{told['decode'] / plain['decode']:5.2f}")
    print(" | ".join(cells))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default="build/release", help="where overhand-bench-rows is")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("directories", nargs="*", help="what capture.sh wrote")
    args = parser.parse_args()
    files = [path for directory in args.directories for path in sorted(glob.glob(f"{directory}/*.rows"))]
    exchanges, total = {}, {}

    command = [os.path.join(args.bin, "overhand-bench-rows"), "--rounds", str(args.rounds)]
    for row in run(command + files):
        exchange = exchanges.setdefault(row["input"].split(".")[0], {})
        add(exchange.setdefault(row["way"], {}), row)
        add(total.setdefault(row["way"], {}), row)
    print("\nstored/raw, ns/row to encode, to decode; last: rows+lz4 / lz4 of the three")
    print(" | ".join([f"{'exchange':<12} {'B/row':>6} {'raw MB':>7}"] + [f"{way:^18}" for way in WAYS] + ["ratios"]))
    for name, ways in exchanges.items():
        print_line(name, ways)
    print_line("all", total)


if __name__ == "__main__":
    main()
