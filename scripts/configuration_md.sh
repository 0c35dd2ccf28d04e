#!/usr/bin/env bash
#
# Print docs/CONFIGURATION.md: a short introduction and the two daemons' own tables of keys.
#
# Usage: scripts/configuration_md.sh BUILD_DIRECTORY >docs/CONFIGURATION.md
set -euo pipefail

build=$1

cat <<'EOF'
# Configuration

Each daemon reads a YAML file (`--config FILE`; examples are in `conf/`), in which the dots of a key are
levels of nesting. The environment wins over the file and the command line over both: `--set KEY=VALUE`,
`--KEY VALUE` or a short name where the table has one. Sizes are written as `64MiB`, times as `5s`, lists
in one value with commas between. An unknown key or a value out of its range ends the start with one
message that names the file and the line. `--print-config` shows every value and where it comes from.

This page is generated from the tables in the programs by `scripts/configuration_md.sh`, and
`./dev check` fails when it differs from them.

EOF
"$build/overhand-master" --print-config-reference
echo
"$build/overhand-worker" --print-config-reference
