#!/usr/bin/env bash
#
# The figures to reach, next to what this machine gives: an idle worker's memory and its start, the
# ingest of one shard against the bare loop of bench/floor, and the demo against Spark's own shuffle.
# Printed, not judged: a busy machine is no failure.
#
# Usage: SPARK_HOME=... scripts/bench.sh [BENCH_WORKER_OPTION...]     after `scripts/build.sh release`
set -euo pipefail

# shellcheck source=scripts/setup.sh
source scripts/setup.sh

mkdir -p build/bench
say "one worker (goals: idle <= 16 MiB, serving <= 50 ms after start, ingest >= 0.7 of the bare loop)"
python3 bench/worker/bench_worker.py --bin build/release --dir build/bench "$@"
say "TPC-H at scale 1 (goal: Overhand's total <= 1.1 of Spark's own)"
scripts/demo.sh --scale 1
