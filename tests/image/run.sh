#!/usr/bin/env bash
#
# The image, without a container engine: its root is assembled as docker/Dockerfile does it, mounted read-only in
# namespaces of our own, and its daemons run in it as user 10001 under the chart's seccomp profile. Data go to a
# volume and come back, through io_uring and, where the profile forbids that, through threads.
#
# Usage: tests/image/run.sh BUILD_DIRECTORY
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$here/../..
build=$(cd "$1" && pwd)
profile=$top/deploy/helm/overhand/files/seccomp-worker.json

if [ "$$" -ne 1 ]; then
    if [ "$(id -u)" -ne 0 ]; then
        echo "skipped: users, mounts and networks of our own need root"
        exit 77
    fi
    # No network but loopback, and no process that outlives us: then we are process 1.
    exec unshare --mount --mount-proc --net --pid --fork --kill-child "$0" "$build"
fi

scratch=$(mktemp -d)
root=$scratch/root
trap 'umount --recursive --lazy "$root" 2>/dev/null || true; rm -rf "$scratch"' EXIT

fail() {
    echo "FAILED: $*" >&2
    head -n 50 "$scratch"/*.log >&2 || true
    exit 1
}

# How to run a program of the image: "${contained[@]}" OPTION... -- COMMAND...
contained=(/usr/bin/python3 "$here/contain.py" "$root" "$profile")

# Wait until a daemon's log holds a line; it ends or the time is up first: failure.
wait_for() {
    local pid=$1 log=$2 pattern=$3
    grep -qm1 "$pattern" < <(timeout 100 tail -f --pid="$pid" -n +1 "$log" 2>/dev/null) || fail "$log: no $pattern"
}

set_up() {
    ip link set lo up
    "$top/docker/root.sh" "$build" "$root"
    echo "root of the image: $(du -sm "$root" | cut -f1) MB, $(find "$root" -type f | wc -l) files;" \
        "$(tar -C "$root" -c . | gzip -1 | wc -c | awk '{ printf "%.0f", $1 / 1e6 }') MB compressed"
    mkdir "$root/data" "$scratch/volume"
    echo '127.0.0.1 localhost' >"$root/etc/hosts"
    chown 10001:10001 "$scratch/volume"
    mount --bind "$root" "$root"
    mount --bind "$scratch/volume" "$root/data"
    mount -t proc proc "$root/proc"
    mount -t tmpfs -o size=1m tmpfs "$root/dev"
    for device in null urandom; do
        touch "$root/dev/$device"
        mount --bind "/dev/$device" "$root/dev/$device"
    done
    mount -o remount,ro,bind "$root"
}

# The root cannot be written, the volume can, and nobody becomes root.
check_walls() {
    "${contained[@]}" -- sh -c 'touch /x' 2>/dev/null && fail "the root can be written"
    "${contained[@]}" -- sh -c 'touch /data/x && rm /data/x' || fail "the volume cannot be written"
    [ "$("${contained[@]}" -- id -u)" = 10001 ] || fail "not user 10001"
    [ "$("${contained[@]}" -- sh -c 'grep CapEff /proc/self/status')" = $'CapEff:\t0000000000000000' ] || fail "capabilities"
    if "${contained[@]}" -- nc -l -p 80 2>/dev/null; then fail "a port of root's can be had"; fi
}

# A worker stores data and serves them, tells the master of itself, and ends clean: check_worker NAME OPTION... -- SETTING...
check_worker() {
    local name=$1 log=$scratch/$1.log pid settings=()
    shift
    while [ "$1" != -- ]; do
        settings+=("$1")
        shift
    done
    "${contained[@]}" "${settings[@]}" -- overhand-worker --id "$name" --host 127.0.0.1 --memory 32MiB --shards 1 \
        --dir "/data/$name" --set disk.reserve=0 "${@:2}" >"$log" 2>&1 &
    pid=$!
    wait_for "$pid" "$log" '^serving '
    "$build/overhand-bench-load" --port 9701 --warm 0 --bytes 67108864 --serve 1 >"$scratch/load.log" ||
        fail "$name: data do not come back"
    [ -n "$(find "$scratch/volume/$name" -name '*.ovh' -size +0 -print -quit)" ] || fail "$name: nothing on the volume"
    wait_for "$master" "$scratch/master.log" "worker $name at "
    "${contained[@]}" -- overhand workers >"$scratch/workers.log" || fail "$name: the master cannot be asked"
    grep -q "^$name .*alive" "$scratch/workers.log" || fail "$name: the master does not know it"
    kill -TERM "$pid"
    wait "$pid" || fail "$name: ended with $?"
    "${contained[@]}" -- overhand fsck "/data/$name" || fail "$name: files are not whole"
}

set_up
check_walls
"${contained[@]}" -- overhand-master --host 127.0.0.1 --set ready_after=0ms >"$scratch/master.log" 2>&1 &
master=$!
wait_for "$master" "$scratch/master.log" '^serving '
check_worker ring -- --set disk.backend=io_uring
check_worker threads --forbid io_uring_setup,io_uring_enter,io_uring_register -- --set disk.backend=auto
grep -q 'using threads' "$scratch/threads.log" || fail "io_uring can be used although it was forbidden"
kill -TERM "$master"
wait "$master" || fail "the master ended with $?"
echo "read-only root, user 10001, seccomp profile, io_uring and threads: all well"
