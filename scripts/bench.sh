#!/usr/bin/env bash
#
# The benchmarks, each by its name; without one the quick set, which takes a quarter of an hour on two quiet cores
# and says what it leaves out. Figures are printed, not judged: a busy machine is no failure. A wrong answer, or a
# service that does not start, is.
#
# Usage: SPARK_HOME=... scripts/bench.sh [quick|all|floor|rows|scale|spark] [OPTION...]
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

bench_floor() {
    say "the bare loops, and one worker shard that does the real thing"
    python3 bench/floor/run.py --bin "$bin" --dir "$out" "$@"
}

bench_rows() {
    say "SQL rows: the codec against streams of rows"
    python3 bench/rows/bench_rows.py --bin "$bin" "$@"
}

# What the queries of TPC-H shuffle, written down once.
capture_rows() {
    local rows=$OVERHAND_CACHE/rows-tpch query queries=()
    [ ! -d "$rows" ] || return 0
    cache_lock
    tpc_build_runner
    tpc_generate tpch 1
    cache_unlock
    for query in 1 2 3 4 5 7 9 10 13 16 17 18 20 21; do
        queries+=("$tpc_runner/target/classes/tpch/q$query.sql")
    done
    rm -rf "$rows.new"
    bench/rows/capture.sh "$(tpc_data_dir tpch 1)" "$rows.new" 12000000 "${queries[@]}" >"$rows.log" 2>&1 || {
        tail -n 20 "$rows.log" >&2
        die "could not write down the rows of TPC-H"
    }
    mv "$rows.new" "$rows"
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
    bench_rows --rounds 3
    bench_scale --quick
    bench_spark --quick
}

bench_all() {
    bench_floor
    capture_rows
    bench_rows "$OVERHAND_CACHE/rows-tpch"
    bench_scale
    bench_spark
}

mkdir -p "$out"
name=${1:-quick}
[ $# -eq 0 ] || shift
case $name in
    quick | all)
        [ $# -eq 0 ] || die "bench: options go to one benchmark: ./dev bench spark $*"
        "bench_$name"
        ;;
    floor | rows | scale | spark) "bench_$name" "$@" ;;
    *) die "bench: no such benchmark: $name (there are quick, all, floor, rows, scale and spark)" ;;
esac
