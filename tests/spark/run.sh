#!/usr/bin/env bash
#
# Spark end to end against real daemons: each suite gets a cluster of its own from `overhand local` and a
# JVM of its own, prints PASS or FAIL for each case, and the exit code says whether all passed.
#
# Usage: tests/spark/run.sh SPARK_VERSION [quick | all | SUITE[+SUITE...]...]   (default: all; + shares a JVM)
#
#   OVERHAND_BIN_DIR   the build with `overhand` and `overhand-spark.jar` (default: build/release)
#   OVERHAND_SEED      which moments the suites that kill choose (default: others each time; they print it)
#   OVERHAND_ROUNDS    how often the suite `kills` goes through its cases (default: 1)
#   OVERHAND_CACHE     where spark-VERSION/deps lies (default: as in scripts/setup.sh, ~/.cache/overhand)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

[ $# -ge 1 ] || {
    sed -n '6p' "${BASH_SOURCE[0]}" | cut -c3- >&2
    exit 2
}
version=$1
shift
suites=("${@:-all}")
case ${suites[0]} in
    quick) suites=(lost-worker sql) ;;
    all)
        suites=(lost-worker sql sql-offheap sql-encrypted encryption rdd-java rdd-kryo start faults replicas kills
            allocation driver thrift python chaos leave
            task-faults+stage-retry+extremes+adaptive+indeterminate+streaming)
        [[ $version != 3.5.* ]] || suites+=(delta)
        ;;
esac

# shellcheck source=tests/spark/cluster.sh
source tests/spark/cluster.sh
open_spark "$version"

# What some suites need on top: the demo's queries and their data, Delta Lake.
# shellcheck source=scripts/setup.sh
source scripts/setup.sh
# shellcheck source=scripts/tpc.sh
source scripts/tpc.sh
tpch_scale=0.05
extra_jars=''
for suite in "${suites[@]}"; do
    case $suite in
        chaos* | leave)
            tpc_setup tpch "$tpch_scale"
            extra_jars+=:$tpc_jar
            ;;
        delta)
            cache_lock
            setup_delta
            cache_unlock
            extra_jars+=$(printf ':%s' "$DELTA_DIR"/*.jar)
            ;;
    esac
done

limit_s=900 # for one suite

# A suite's own daemons end with it, unless it was killed.
end_leftovers() {
    local pid
    [ -f "$dir/pids" ] || return 0
    while read -r pid; do
        case $(readlink "/proc/$pid/exe" || true) in
            "$bin"/overhand-*) kill -KILL "$pid" || true ;;
        esac
    done <"$dir/pids"
    rm "$dir/pids"
}
trap 'stop_cluster; end_leftovers; rm -rf "$dir"' EXIT

# The cases, compiled once for each build, Spark line and state of the sources.
tests_jar=$bin/spark-tests-$version.jar
compile_tests() {
    [ ! -f "$tests_jar" ] || [ -n "$(find tests/spark/src -newer "$tests_jar" -print -quit)" ] || return 0
    mkdir "$dir/classes"
    "$JAVA_HOME/bin/javac" -nowarn -Xlint:none -proc:none -cp "$SPARK_HOME/jars/*" -d "$dir/classes" \
        tests/spark/src/org/overhand/spark/test/*.java 2>"$dir/javac.log" || {
        cat "$dir/javac.log" >&2
        return 1
    }
    "$JAVA_HOME/bin/jar" cf "$tests_jar.$$" -C "$dir/classes" .
    mv "$tests_jar.$$" "$tests_jar" # in one step: another suite may just start
}
compile_tests

# Python as Spark's Python sources want it: beside the distribution, and without the sanitizer's runtime.
PYTHONPATH=$(printf '%s:' "$(dirname "$distribution")"/lib/*.zip)
PYSPARK_PYTHON=$dir/python
export PYTHONPATH PYSPARK_PYTHON
printf '#!/bin/sh\nexec env -u LD_PRELOAD python3 "$@"\n' >"$PYSPARK_PYTHON"
chmod +x "$PYSPARK_PYTHON"

# Shows what there is to see when a suite failed: its log, the cluster's and the sanitizers' reports. A suite
# that hung has printed the stacks of its threads, which take more room.
show_failure() {
    local suite=$1 rc=$2 n_lines=80
    if [ "$rc" -ge 124 ]; then
        n_lines=600
    fi
    echo "---- last lines of the log of $suite on Spark $version, exit code $rc, then the cluster's"
    grep -B 40 '^FAIL ' "$dir/$suite.log" || true
    echo "----"
    tail -n "$n_lines" "$dir/$suite.log"
    tail -n 40 "$dir/cluster.log"
    sanitizer_reports "$dir/$suite.log" || true
}

# Only our own lines reach the terminal; Spark's log stays in a file and is shown when something failed.
# A JVM that takes too long prints its threads' stacks (SIGQUIT) and is killed. It stays in this
# process group (--foreground), so that who ends the script ends the JVM.
run_suite() {
    local suite=$1 log=$dir/$1.log rc=0 names program
    IFS=+ read -ra names <<<"$suite"
    program=(--class org.overhand.spark.test.Main "$tests_jar" "${names[@]}")
    rm -rf "$dir/cluster" "${work:?}"/*
    start_cluster
    if [ "$suite" = python ]; then
        program=(tests/spark/shuffles.py "$masters")
    fi
    JAVA_HOME=$java_home timeout --foreground --signal=QUIT --kill-after=5 \
        "$limit_s" "$SPARK_HOME/bin/spark-submit" --master 'local[2,4]' \
        --driver-memory 1200m --driver-class-path "$jar:$tests_jar$extra_jars" \
        --conf "spark.local.dir=$dir/local" \
        --driver-java-options "-XX:+UseSerialGC -Dderby.system.home=$dir -Doverhand.test.masters=$masters \
-Doverhand.test.workers=$workers -Doverhand.test.jars=$jar:$tests_jar -Doverhand.test.log=$log \
-Doverhand.test.dir=$dir -Doverhand.test.bin=$bin \
-Doverhand.test.tpch=$(tpc_data_dir tpch "$tpch_scale") -Doverhand.test.rounds=${OVERHAND_ROUNDS:-1}" \
        "${program[@]}" >"$log" 2>&1 || rc=$?
    grep -E '^(PASS|FAIL) |^[0-9]+ passed' "$log" | grep -v "PASS .* with Spark's own shuffle" ||
        [ "$rc" -ne 0 ] || rc=1
    stop_cluster
    end_leftovers
    if sanitizer_reports "$log" >/dev/null; then
        echo "FAIL $suite: a sanitizer found something"
        [ "$rc" -ne 0 ] || rc=1
    fi
    if [ "$rc" -ne 0 ]; then
        show_failure "$suite" "$rc"
    fi
    return "$rc"
}

failed=()
for suite in "${suites[@]}"; do
    run_suite "$suite" || failed+=("$suite")
done
if [ "${#failed[@]}" -gt 0 ]; then
    echo "FAIL Spark $version: ${failed[*]}"
    exit 1
fi
echo "PASS Spark $version: ${suites[*]}"
