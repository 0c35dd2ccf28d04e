# shellcheck shell=bash
#
# TPC-H and TPC-DS for the demo, the tests and the benchmarks: the query runner's jar and the data, each made once.
#
# Sourced after scripts/setup.sh, from the top of the tree. Both steps look first whether their work is done; the
# data lie in the cache. One process at a time makes them.

tpc_runner=bench/spark/runner
tpc_jar=$PWD/$tpc_runner/target/overhand-bench.jar

# tpc_data_dir tpch|tpcds SCALE
tpc_data_dir() {
    echo "$OVERHAND_CACHE/$1-sf$2"
}

tpc_build_runner() {
    if [ -f "$tpc_jar" ] &&
        [ -z "$(find "$tpc_runner/src" "$tpc_runner/pom.xml" -newer "$tpc_jar" -print -quit)" ]; then
        return 0
    fi
    say "building the query runner"
    run_maven "$tpc_runner" package
}

# With SPARK_HOME set: tpc_generate tpch|tpcds SCALE
tpc_generate() {
    local data log
    data=$(tpc_data_dir "$1" "$2")
    [ ! -d "$data" ] || return 0
    say "generating the data of $1 at scale $2 (once; kept in the cache)"
    rm -rf "$data.new"
    log=$data.log
    "$SPARK_HOME/bin/spark-submit" --master 'local[2]' --driver-memory 4g --conf spark.ui.enabled=false \
        --class org.overhand.bench.Generate "$tpc_jar" --tables "$1" --scale "$2" --out "$data.new" \
        >"$log" 2>&1 || {
        tail -n 30 "$log" >&2
        die "no data of $1"
    }
    rm "$log"
    mv "$data.new" "$data"
}

# With SPARK_HOME set: tpc_setup tpch|tpcds SCALE
tpc_setup() {
    cache_lock
    tpc_build_runner
    tpc_generate "$1" "$2"
    cache_unlock
}
