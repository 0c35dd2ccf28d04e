#!/usr/bin/env bash
#
# One fuzzer for a while, from its corpus on. What it learns stays in a scratch directory; an input that
# fails is kept and named, to be put into the corpus together with the correction.
#
# Usage: scripts/fuzz.sh PROGRAM CORPUS_DIRECTORY SECONDS
set -euo pipefail

program=$1
corpus=$2
seconds=$3

[ -x "$program" ] || {
    echo "$program is missing: build it with \`./dev build fuzz\`" >&2
    exit 1
}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/learned"

# Bounded in memory and in the time of one input, so that neither can starve the machine.
if "$program" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=20 -max_len=65536 -print_final_stats=1 \
    -artifact_prefix="$scratch/" "$scratch/learned" "$corpus" >"$scratch/log" 2>&1; then
    grep -E 'INITED|^stat::number_of_executed|^Done' "$scratch/log"
    exit 0
fi
tail -n 60 "$scratch/log"
findings=$(dirname "$program")/findings
mkdir -p "$findings"
for input in "$scratch"/{crash,leak,oom,timeout}-*; do
    [ ! -f "$input" ] || cp -v "$input" "$findings/$(basename "$program")-$(basename "$input")"
done
exit 1
