# shellcheck shell=bash
#
# What every test with a Spark distribution starts from: a cluster from `overhand local`, a SPARK_HOME of
# its own and a Java that can load a library built with sanitizers.
#
# Sourced from the top of the tree, with set -euo pipefail, by scripts whose first argument is the version
# of Spark:
#
#   open_spark VERSION   sets bin, jar, dir (removed at exit), distribution, SPARK_HOME (a copy of it in
#                        links), work, java_home
#   start_cluster        sets masters (addresses) and workers (pids); ends the script if it fails
#   stop_cluster
#   sanitizer_reports F  prints what the sanitizers found in F, in the daemons and in the executors
#
#   OVERHAND_BIN_DIR     the build with `overhand` and `overhand-spark.jar` (default: build/release)
#   OVERHAND_CACHE       where spark-VERSION/deps lies (default: as in scripts/setup.sh, ~/.cache/overhand)

n_workers=3
cluster_pid=

stop_cluster() {
    if [ -n "$cluster_pid" ]; then
        kill -TERM "$cluster_pid" 2>/dev/null || true
        wait "$cluster_pid" || echo "overhand local ended with $?" >&2
        cluster_pid=
    fi
}

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

# Executors of a local-cluster leave their logs in SPARK_HOME/work: give them one that is ours.
link_spark_home() {
    local entry
    work=$dir/work
    mkdir "$dir/spark" "$work"
    for entry in "$SPARK_HOME"/*; do
        [ "${entry##*/}" = work ] || ln -s "$entry" "$dir/spark/"
    done
    ln -s "$work" "$dir/spark/work"
    SPARK_HOME=$dir/spark
}

# A library built with the address sanitizer needs its runtime first in the process, and the JVM needs
# SIGSEGV for itself. The C++ library comes with it, or the runtime does not find what throws and ends the
# process when RocksDB does. Only JVMs are started so: other programs that Spark's scripts call (ps) hang
# under it.
wrap_java() {
    local sanitizer
    sanitizer=$(ldd "$bin/liboverhand_jni.so" 2>/dev/null |
        awk '/libasan|libclang_rt.asan/ { print $3; exit }')
    java_home=$JAVA_HOME
    if [ -n "$sanitizer" ]; then
        java_home=$dir/java
        mkdir -p "$java_home/bin"
        cat >"$java_home/bin/java" <<EOF
#!/bin/sh
options=handle_segv=0:detect_leaks=0:use_sigaltstack=0:allocator_may_return_null=1
ASAN_OPTIONS=\$options LD_PRELOAD=$sanitizer:$(gcc -print-file-name=libstdc++.so.6) exec "$JAVA_HOME/bin/java" "\$@"
EOF
        chmod +x "$java_home/bin/java"
    fi
}

open_spark() {
    bin=${OVERHAND_BIN_DIR:-build/release}
    bin=$(cd "$bin" && pwd)
    jar=$bin/overhand-spark.jar
    distribution=${OVERHAND_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/overhand}/spark-$1/deps
    SPARK_HOME=$distribution
    JAVA_HOME=${JAVA_HOME:-$(dirname "$(dirname "$(readlink -f "$(command -v javac)")")")}
    export SPARK_HOME JAVA_HOME SPARK_LOCAL_IP=127.0.0.1
    [ -f "$jar" ] || {
        echo "$jar is not there: build first" >&2
        exit 2
    }
    [ -x "$SPARK_HOME/bin/spark-submit" ] || {
        echo "no Spark $1 in $SPARK_HOME" >&2
        exit 2
    }
    dir=$(mktemp -d)
    trap 'stop_cluster; rm -rf "$dir"' EXIT
    link_spark_home
    wrap_java
}

# What the sanitizers found in daemons, driver and executors. They write to stderr (with log_path, gcc's
# undefined behaviour runtime does not follow the address sanitizer's), and Spark may well have survived it.
sanitizer_reports() {
    grep -rhaE -A 30 '^==[0-9]+==ERROR: |^[^ ]+:[0-9]+:[0-9]+: runtime error: ' \
        "$1" "$dir/cluster.log" "$work"
}
