#!/usr/bin/env bash
#
# Run clang-tidy on one source file, silent when there is nothing to say.
#
# The compile commands are gcc's: warnings that only gcc knows are no findings.
#
# Usage: scripts/tidy.sh BUILD_DIRECTORY FILE
set -euo pipefail

if ! output=$(clang-tidy --quiet -p "$1" --extra-arg=-Wno-unknown-warning-option "$2" 2>&1); then
    printf '%s\n' "$output"
    exit 1
fi
