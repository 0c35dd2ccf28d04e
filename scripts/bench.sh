#!/usr/bin/env bash
#
# The figures to reach, next to what this machine gives: an idle worker's memory and its start, the
# ingest of one shard against the bare loop of bench/floor, and the demo against Spark's own shuffle.
# Printed, not judged: a busy machine is no failure.
#
# Usage: SPARK_HOME=... scripts/bench.sh [BENCH_FLOOR_OPTION...]     after `scripts/build.sh release`
set -euo pipefail

# shellcheck source=scripts/setup.sh
source scripts/setup.sh

mkdir -p build/bench
say "one worker against the bare loop"
python3 bench/floor/run.py --bin build/release --dir build/bench --quick "$@"
say "TPC-H at scale 1 (goal: Overhand's total <= 1.1 of Spark's own)"
scripts/demo.sh --scale 1
