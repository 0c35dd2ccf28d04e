#!/usr/bin/env bash
#
# Everything about the sources that a machine can judge. All checks run, whichever fail; the names of
# those that failed come last, and the exit code is 1 when there is one.
#
# Usage: HELM=helm HADOLINT=hadolint PYTHONPATH=<kubernetes-validate> scripts/check.sh BUILD_DIRECTORY
set -euo pipefail

build=$1
failed=()
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# The C sources of ours, one on each line.
c_sources() {
    find src include tests bench -name '*.[ch]' | sort
}

# Those that the build compiles (fuzzers, say, belong to another preset).
compiled_sources() {
    python3 - "$build/compile_commands.json" <<'EOF'
import json, os, sys

with open(sys.argv[1]) as commands:
    files = {os.path.relpath(entry["file"]) for entry in json.load(commands)}
ours = ("src/", "tests/", "bench/")
print("\n".join(sorted(file for file in files if file.startswith(ours))))
EOF
}

check_format() {
    c_sources | xargs clang-format --dry-run --Werror
}

check_tidy() {
    compiled_sources | xargs -P "$(nproc)" -n 1 scripts/tidy.sh "$build"
}

check_includes() {
    scripts/check_includes.py
}

check_headers() {
    scripts/check_headers.py
}

# Unfinished work has no place in the tree. The words are split so that this line is not found.
check_words() {
    ! grep -rnwE 'TO''DO|FIX''ME' --exclude-dir={.git,build,target} .
}

check_configuration() {
    diff -u docs/CONFIGURATION.md <(scripts/configuration_md.sh "$build")
}

# docs/RELIABILITY.md names tests as `FILE.c:FUNCTION`: each is defined there and in the file's list.
check_named_tests() {
    local name file function n=0 missing=0
    while read -r name; do
        file=$(find tests -name "${name%%:*}")
        function=${name#*:}
        n=$((n + 1))
        if [ -z "$file" ] || [ "$(grep -cw "$function" "$file")" -lt 2 ]; then
            echo "docs/RELIABILITY.md names a test that does not exist: $name"
            missing=1
        fi
    done < <(grep -oE 'test_[a-z0-9_]+\.c:test_[a-z0-9_]+' docs/RELIABILITY.md | sort -u)
    [ "$n" -gt 0 ] && [ "$missing" -eq 0 ]
}

check_operations() {
    scripts/check_operations.py "$build"
}

check_shell() {
    shellcheck -x dev .ci/run scripts/*.sh docker/*.sh tests/image/*.sh tests/kube/*.sh tests/integration/*.sh deploy/examples/*.sh
}

check_docker() {
    "$HADOLINT" docker/Dockerfile docker/Dockerfile.spark
}

check_monitoring() {
    scripts/check_monitoring.py
}

# The Helm chart and the examples of deployments.
check_chart() {
    SCRATCH=$1 BUILD=$build python3 tests/chart/test_chart.py
}

# Run one check, which may use the directory it is given, and show what it says when it fails.
run() {
    local name=$1
    local log=$scratch/log
    SECONDS=0
    printf '%-14s ' "$name"
    if "check_$name" "$scratch" >"$log" 2>&1; then
        echo "ok (${SECONDS}s)"
    else
        echo "FAILED (${SECONDS}s)"
        cat "$log"
        failed+=("$name")
    fi
}

for name in format includes headers words configuration named_tests operations shell docker monitoring chart tidy; do
    run "$name"
done
if [ "${#failed[@]}" -gt 0 ]; then
    echo "failed: ${failed[*]}"
    exit 1
fi
echo "all checks passed"
