#!/usr/bin/env bash
#
# Spark end to end against real daemons: each suite gets a cluster of its own from `overhand local` and a
# JVM of its own, prints PASS or FAIL for each case, and the exit code says whether all passed.
#
# Usage: tests/spark/run.sh SPARK_VERSION [quick | all | SUITE...]     (default: all)
#
#   OVERHAND_BIN_DIR   the build with `overhand` and `overhand-spark.jar` (default: build/release)
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
    all) suites=(lost-worker sql rdd-java rdd-kryo start faults sql-offheap) ;;
esac

bin=${OVERHAND_BIN_DIR:-build/release}
bin=$(cd "$bin" && pwd)
jar=$bin/overhand-spark.jar
SPARK_HOME=${OVERHAND_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/overhand}/spark-$version/deps
JAVA_HOME=${JAVA_HOME:-$(dirname "$(dirname "$(readlink -f "$(command -v javac)")")")}
export SPARK_HOME JAVA_HOME SPARK_LOCAL_IP=127.0.0.1
[ -f "$jar" ] || {
    echo "$jar is not there: build first" >&2
    exit 2
}
[ -x "$SPARK_HOME/bin/spark-submit" ] || {
    echo "no Spark $version in $SPARK_HOME" >&2
    exit 2
}

dir=$(mktemp -d)
cluster_pid=
stop_cluster() {
    if [ -n "$cluster_pid" ]; then
        kill -TERM "$cluster_pid" 2>/dev/null || true
        wait "$cluster_pid" || echo "overhand local ended with $?" >&2
        cluster_pid=
    fi
}
trap 'stop_cluster; rm -rf "$dir"' EXIT

n_workers=3
limit_s=540 # for one suite

# Starts a cluster and sets masters and workers (pids) from what it prints.
start_cluster() {
    local line out
    masters='' workers=''
    mkdir -p "$dir/cluster"
    out=$dir/cluster.out
    rm -f "$out"
    mkfifo "$out"
    "$bin/overhand" local --workers "$n_workers" --dir "$dir/cluster" >"$out" 2>"$dir/cluster.log" &
    cluster_pid=$!
    exec 9<"$out"
    while IFS= read -r -t 60 line <&9; do
        case $line in
            'ready masters='*) masters=${line#ready masters=} ;;
            'worker '*)
                line=${line#*pid=}
                workers=${workers:+$workers,}${line%% *}
                ;;
        esac
        if [ -n "$masters" ] && [ "$(tr -dc , <<<"$workers" | wc -c)" -eq $((n_workers - 1)) ]; then
            return 0
        fi
    done
    cat "$dir/cluster.log" >&2
    echo "overhand local did not become ready" >&2
    return 1
}

mkdir "$dir/classes"
"$JAVA_HOME/bin/javac" -nowarn -Xlint:none -proc:none -cp "$SPARK_HOME/jars/*" -d "$dir/classes" \
    tests/spark/src/org/overhand/spark/test/*.java 2>"$dir/javac.log" || {
    cat "$dir/javac.log" >&2
    exit 1
}
"$JAVA_HOME/bin/jar" cf "$dir/tests.jar" -C "$dir/classes" .

# Executors of a local-cluster leave their logs in SPARK_HOME/work: give them one that is ours.
work=$dir/work
mkdir "$dir/spark" "$work"
for entry in "$SPARK_HOME"/*; do
    [ "${entry##*/}" = work ] || ln -s "$entry" "$dir/spark/"
done
ln -s "$work" "$dir/spark/work"
SPARK_HOME=$dir/spark

# A library built with the address sanitizer needs its runtime first in the process, and the JVM needs
# SIGSEGV for itself. Only JVMs are started so: other programs that Spark's scripts call (ps) hang under it.
sanitizer=$(ldd "$bin/liboverhand_jni.so" 2>/dev/null | awk '/libasan|libclang_rt.asan/ { print $3; exit }')
java_home=$JAVA_HOME
if [ -n "$sanitizer" ]; then
    java_home=$dir/java
    mkdir -p "$java_home/bin"
    cat >"$java_home/bin/java" <<EOF
#!/bin/sh
options=handle_segv=0:detect_leaks=0:use_sigaltstack=0:allocator_may_return_null=1
ASAN_OPTIONS=\$options LD_PRELOAD=$sanitizer exec "$JAVA_HOME/bin/java" "\$@"
EOF
    chmod +x "$java_home/bin/java"
fi

# What the sanitizers found in daemons, driver and executors. They write to stderr (with log_path, gcc's
# undefined behaviour runtime does not follow the address sanitizer's), and Spark may well have survived it.
sanitizer_reports() {
    grep -rhaE -A 30 '^==[0-9]+==ERROR: |^[^ ]+:[0-9]+:[0-9]+: runtime error: ' \
        "$1" "$dir/cluster.log" "$work"
}

# Shows what there is to see when a suite failed: its log, the cluster's and the sanitizers' reports. A suite
# that hung has printed the stacks of its threads, which take more room.
show_failure() {
    local suite=$1 rc=$2 n_lines=80
    if [ "$rc" -ge 124 ]; then
        n_lines=600
    fi
    echo "---- last lines of the log of $suite on Spark $version, exit code $rc, then the cluster's"
    tail -n "$n_lines" "$dir/$suite.log"
    tail -n 40 "$dir/cluster.log"
    sanitizer_reports "$dir/$suite.log" || true
}

# Only our own lines reach the terminal; Spark's log stays in a file and is shown when something failed.
# A JVM that takes too long prints its threads' stacks (SIGQUIT) and is killed. It stays in this
# process group (--foreground), so that who ends the script ends the JVM.
run_suite() {
    local suite=$1 log=$dir/$1.log rc=0
    rm -rf "$dir/cluster" "${work:?}"/*
    start_cluster
    JAVA_HOME=$java_home timeout --foreground --signal=QUIT --kill-after=5 \
        "$limit_s" "$SPARK_HOME/bin/spark-submit" --master 'local[2]' \
        --driver-memory 1200m --driver-class-path "$jar:$dir/tests.jar" \
        --conf "spark.local.dir=$dir/local" \
        --driver-java-options "-XX:+UseSerialGC -Dderby.system.home=$dir -Doverhand.test.masters=$masters \
-Doverhand.test.workers=$workers -Doverhand.test.jars=$jar:$dir/tests.jar -Doverhand.test.log=$log \
-Doverhand.test.dir=$dir" \
        --class org.overhand.spark.test.Main "$dir/tests.jar" "$suite" >"$log" 2>&1 || rc=$?
    grep -E '^(PASS|FAIL) |^[0-9]+ passed' "$log" | grep -v "PASS .* with Spark's own shuffle" ||
        [ "$rc" -ne 0 ] || rc=1
    stop_cluster
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
