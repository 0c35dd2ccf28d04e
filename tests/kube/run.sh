#!/usr/bin/env bash
#
# The chart and docs/OPERATIONS.md on a real Kubernetes of one node, which lives in namespaces of its own: processes,
# mounts, networks and what is written to /var and /run end with it, however it ends. Only control groups outlive a
# process; the kubelet's are all below one of ours, and are removed here.
#
# Usage: KUBERNETES=DIRECTORY HELM=helm tests/kube/run.sh BUILD_DIRECTORY
# KUBERNETES has the programs that scripts/setup.sh makes. OVERHAND_KUBE_KEEP=1 keeps the logs where they are.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=$(cd "$1" && pwd)

if [ "$(id -u)" -ne 0 ]; then
    echo "skipped: a node needs root"
    exit 77
fi
scratch=$(mktemp -d)
group=overhand-kube-$$
hierarchies=(/sys/fs/cgroup)
[ -f /sys/fs/cgroup/cgroup.controllers ] || hierarchies=(/sys/fs/cgroup/*/)

# Control groups of processes that are gone, the innermost first.
remove_groups() {
    local hierarchy
    for hierarchy in "${hierarchies[@]}"; do
        [ ! -d "$hierarchy/$group" ] || find "$hierarchy/$group" -depth -type d -exec rmdir {} + || true
    done
}

clean() {
    remove_groups
    [ -z "${OVERHAND_KUBE_KEEP:-}" ] || { echo "logs: $scratch" && return; }
    rm -rf "$scratch"
}
trap clean EXIT

for hierarchy in "${hierarchies[@]}"; do
    mkdir -p "$hierarchy/$group"
done
# In cpuset a new group has neither processors nor memory, and nothing can be put into it.
for file in cpuset.cpus cpuset.mems; do
    [ ! -f "/sys/fs/cgroup/cpuset/$file" ] ||
        cat "/sys/fs/cgroup/cpuset/$file" >"/sys/fs/cgroup/cpuset/$group/$file"
done

# Process 1 of the new namespaces is the shell, so that processes without parents find one.
SCRATCH=$scratch GROUP=$group BUILD=$build unshare --mount --mount-proc --net --pid --uts --ipc --fork --kill-child \
    bash -c '"$@"; exit' bash /usr/bin/python3 "$here/operations.py"
