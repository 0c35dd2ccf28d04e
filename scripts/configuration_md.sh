#!/usr/bin/env bash
#
# Print docs/CONFIGURATION.md: a short introduction and the two daemons' own tables of keys.
#
# Usage: scripts/configuration_md.sh BUILD_DIRECTORY >docs/CONFIGURATION.md
set -euo pipefail

build=$1

cat <<'EOF'
# Configuration

Both daemons read one YAML file (`--config FILE`). Sizes are written as `64MiB`, times as `5s`. Every
key can also be given on the command line (`--KEY=VALUE`), which wins over the environment, which wins
over the file. An unknown key, or a value out of its range, ends the start with a message that names
the file and the line.

This page is generated from the tables in the programs by `scripts/configuration_md.sh`, and
`./dev check` fails when it differs from them.

EOF
"$build/overhand-master" --print-config-reference
echo
"$build/overhand-worker" --print-config-reference
