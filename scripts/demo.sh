#!/usr/bin/env bash
#
# The demo: all 22 queries of TPC-H on a real Spark, once through Overhand and once through Spark's own
# shuffle, every answer compared row by row.
#
# Steps: build the query runner; generate the data once, into the cache; start one master and two
# workers; run both passes, each in a JVM of its own; print the table and the state of the cluster.
# What the passes leave (rows, times, Spark's logs) stays in build/demo. Fails when a step fails, when
# an answer differs, or when the cluster does not end cleanly.
#
# Usage: SPARK_HOME=... scripts/demo.sh [--scale N]     after `scripts/build.sh release`
set -euo pipefail

# shellcheck source=scripts/setup.sh
source scripts/setup.sh
# shellcheck source=scripts/tpc.sh
source scripts/tpc.sh
use_java

scale=1
while [ $# -gt 0 ]; do
    case $1 in
        --scale)
            scale=${2:?--scale needs a number}
            shift 2
            ;;
        *) die "demo: unknown argument: $1 (there is --scale N)" ;;
    esac
done

export SPARK_HOME
export SPARK_LOCAL_IP=127.0.0.1
overhand=$PWD/build/release/overhand
plugin_jar=$PWD/build/release/overhand-spark.jar
data=$(tpc_data_dir tpch "$scale")
out=$PWD/build/demo
cluster_pid=

stop_cluster() {
    local pid=$cluster_pid
    [ -n "$pid" ] || return 0
    cluster_pid=
    kill -TERM "$pid" 2>/dev/null || true # it may have died by itself: wait tells
    local status=0
    wait "$pid" || status=$?
    if [ "$status" -ne 0 ]; then
        tail -n 20 "$out/cluster.log" >&2
        die "the cluster did not end cleanly (status $status); its log is $out/cluster.log"
    fi
}
trap stop_cluster EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Run one of our two programs on Spark: submit NAME CLASS ARGUMENT... -- SPARK_OPTION...
submit() {
    local log=$out/$1.log class=$2 arguments=()
    shift 2
    while [ "$1" != -- ]; do
        arguments+=("$1")
        shift
    done
    shift
    "$SPARK_HOME/bin/spark-submit" --master 'local[2]' --driver-memory 4g \
        --conf spark.ui.enabled=false --conf "spark.local.dir=$out/local" \
        "$@" --class "org.overhand.bench.$class" "$tpc_jar" "${arguments[@]}" 2>"$log" || {
        tail -n 30 "$log" >&2
        say "this run failed; its log is $log"
        return 1
    }
}

start_cluster() {
    local fd line=
    say "starting one master and two workers"
    exec {fd}< <(exec "$overhand" local --workers 2 --dir "$out/cluster" 2>"$out/cluster.log")
    cluster_pid=$!
    read -r -t 35 -u "$fd" line || true # nothing read is no answer, judged below
    case $line in
        "ready masters="*) masters=${line#ready masters=} ;;
        *)
            cat "$out/cluster.log" >&2
            die "the cluster did not say that it is ready: '$line'"
            ;;
    esac
}

# All queries once: run_queries NAME SPARK_OPTION...     A failed query is the comparison's business.
run_queries() {
    local name=$1
    shift
    submit "$name" Run --workload tpch --data "$data" --out "$out/$name" -- \
        --conf spark.sql.autoBroadcastJoinThreshold=-1 "$@" || true
    [ -f "$out/$name/steps.jsonl" ] || die "the pass through $name did not come to its end"
}

rm -rf "$out"
mkdir -p "$out"
tpc_setup tpch "$scale"
start_cluster

say "22 queries through Overhand (masters $masters)"
run_queries overhand --driver-class-path "$plugin_jar" \
    --conf spark.shuffle.manager=org.overhand.spark.OverhandShuffleManager \
    --conf "spark.overhand.masters=$masters" --conf spark.overhand.fallback=never \
    --conf spark.shuffle.reduceLocality.enabled=false
say "22 queries through Spark's own shuffle"
run_queries spark

"$overhand" status --masters "$masters"
stop_cluster
echo
bench/spark/compare.py "$out/overhand" "$out/spark"
