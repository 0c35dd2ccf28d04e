#!/usr/bin/env bash
#
# Write down the rows that SQL queries shuffle, for bench_rows.py: for each exchange of each query at most about
# LIMIT bytes, as batches of the size that the plugin makes.
#
# Usage: SPARK_HOME=... bench/rows/capture.sh DATA OUT LIMIT QUERY.sql...
# DATA holds a folder of Parquet for each table, as `./dev demo` makes them.
set -euo pipefail

[ $# -ge 4 ] || {
    sed -n '6,7p' "${BASH_SOURCE[0]}" | cut -c3- >&2
    exit 2
}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

javac --release 17 -cp "$SPARK_HOME/jars/*" -d "$dir/classes" "$here/Capture.java"
(cd "$dir/classes" && jar cf "$dir/capture.jar" .)
"$SPARK_HOME/bin/spark-submit" --master 'local[1]' --driver-memory 2g --conf spark.ui.enabled=false \
    --conf spark.local.dir="$dir" --conf spark.sql.adaptive.enabled=false \
    --conf spark.sql.shuffle.partitions="${PARTITIONS:-16}" --conf spark.sql.autoBroadcastJoinThreshold=-1 \
    --class Capture "$dir/capture.jar" "$@"
