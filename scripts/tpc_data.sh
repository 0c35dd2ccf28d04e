#!/usr/bin/env bash
#
# The data of TPC-H or TPC-DS at one scale, made when they are not in the cache; prints their directory.
#
# Usage: SPARK_HOME=... scripts/tpc_data.sh tpch|tpcds SCALE
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# shellcheck source=scripts/setup.sh
source scripts/setup.sh
# shellcheck source=scripts/tpc.sh
source scripts/tpc.sh
use_java

[ $# -eq 2 ] || die "usage: scripts/tpc_data.sh tpch|tpcds SCALE"
export SPARK_HOME SPARK_LOCAL_IP=127.0.0.1
tpc_setup "$1" "$2" >&2
tpc_data_dir "$1" "$2"
