#!/usr/bin/env bash
#
# The benchmarks, each by its name; without one the quick set, which takes a quarter of an hour on two quiet cores
# and says what it leaves out. Figures are printed, not judged: a busy machine is no failure. A wrong answer, or a
# service that does not start, is.
#
# Usage: SPARK_HOME=... scripts/bench.sh [quick|all|worker|floor|rows|scale|spark] [OPTION...]
# after `scripts/build.sh release`. Options go to the program of the one benchmark named (--help lists them).
set -euo pipefail

# shellcheck source=scripts/setup.sh
source scripts/setup.sh
# shellcheck source=scripts/tpc.sh
source scripts/tpc.sh
use_java

export SPARK_HOME
bin=$PWD/build/release
out=$PWD/build/bench

bench_worker() {
    say "one worker: idle, and its ingest against the bare loop"
    python3 bench/worker/bench_worker.py --bin "$bin" --dir "$out" "$@"
}

bench_floor() {
    say "the bare loops, and one worker shard that does the real thing"
    python3 bench/floor/run.py --bin "$bin" --dir "$out" "$@"
}

bench_rows() {
    say "SQL rows: the codec against streams of rows"
    python3 bench/rows/run.py --bin "$bin" --dir "$out" "$@"
}

bench_scale() {
    say "cost against the number of blocks, partitions, applications and workers"
    python3 bench/scale/run.py --bin "$bin" --dir "$out" "$@"
}

bench_spark() {
    say "Spark through Overhand, its own shuffle, Celeborn and Uniffle"
    cache_lock
    tpc_build_runner
    cache_unlock
    python3 bench/spark/run.py --bin "$bin" --spark-home "$SPARK_HOME" --jar "$tpc_jar" --dir "$out/spark" \
        --celeborn-home "$CELEBORN_DIR" --uniffle-home "$UNIFFLE_DIR" "$@"
}

bench_quick() {
    say "the quick set; left out: more rounds, full sizes, and what each benchmark names (./dev bench all has them)"
    bench_floor --quick
    bench_rows --quick
    bench_scale --quick
    bench_spark --quick
}

bench_all() {
    bench_worker "$@"
    bench_floor "$@"
    bench_rows "$@"
    bench_scale "$@"
    bench_spark "$@"
}

mkdir -p "$out"
name=${1:-quick}
[ $# -eq 0 ] || shift
case $name in
    quick | all)
        [ $# -eq 0 ] || die "bench: options go to one benchmark: ./dev bench spark $*"
        "bench_$name"
        ;;
    worker | floor | rows | scale | spark) "bench_$name" "$@" ;;
    *) die "bench: no such benchmark: $name (there are quick, all, worker, floor, rows, scale and spark)" ;;
esac
