# shellcheck shell=bash
#
# TPC-H for the demo and for the tests: the query runner's jar and the data, each made once.
#
# Sourced after scripts/setup.sh, from the top of the tree. Both steps look first whether their work is done; the
# data lie in the cache. One process at a time makes them.

tpch_runner=bench/tpch
tpch_jar=$PWD/$tpch_runner/target/overhand-tpch.jar

tpch_data_dir() {
    echo "$OVERHAND_CACHE/tpch-sf$1"
}

tpch_build_runner() {
    if [ -f "$tpch_jar" ] &&
        [ -z "$(find "$tpch_runner/src" "$tpch_runner/pom.xml" -newer "$tpch_jar" -print -quit)" ]; then
        return 0
    fi
    say "building the query runner"
    run_maven "$tpch_runner" package
}

# With SPARK_HOME set: tpch_generate SCALE
tpch_generate() {
    local data log
    data=$(tpch_data_dir "$1")
    [ ! -d "$data" ] || return 0
    say "generating TPC-H data at scale $1 (once; kept in the cache)"
    rm -rf "$data.new"
    log=$data.log
    "$SPARK_HOME/bin/spark-submit" --master 'local[2]' --driver-memory 4g --conf spark.ui.enabled=false \
        --class org.overhand.tpch.Generate "$tpch_jar" --scale "$1" --out "$data.new" >"$log" 2>&1 || {
        tail -n 30 "$log" >&2
        die "no TPC-H data"
    }
    rm "$log"
    mv "$data.new" "$data"
}

# With SPARK_HOME set: tpch_setup SCALE
tpch_setup() {
    cache_lock
    tpch_build_runner
    tpch_generate "$1"
    cache_unlock
}
