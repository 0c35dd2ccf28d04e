#!/usr/bin/env bash
#
# The Dockerfiles themselves, built by buildah without a daemon or a registry: the base is a Debian 12 of
# debootstrap, with the package sources of this machine, kept in the cache; for Spark's image stands our own. Takes
# minutes, as root.
#
# Usage: tests/image/dockerfiles.sh JAR
set -euo pipefail
jar=$(realpath "$1")
cache=${OVERHAND_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/overhand}
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

if [ "$(id -u)" -ne 0 ]; then
    echo "skipped: images of other users need root"
    exit 77
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
base=$cache/debian-12-base.tar

image() {
    buildah --root "$scratch/storage" --runroot "$scratch/run" --storage-driver vfs "$@"
}

# build NAME DOCKERFILE BASE_ARGUMENT CONTEXT
build() {
    image bud --quiet --isolation chroot --network host --file "$2" --ignorefile "$2.dockerignore" --build-arg "$3" --tag "$1" "$4"
}

# What a command in a container of an image prints: run IMAGE COMMAND...
run() {
    local container
    container=$(image from "$1")
    image run --isolation chroot "$container" -- "${@:2}"
    image rm "$container" >/dev/null
}

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

if [ ! -f "$base" ]; then
    debootstrap --variant=minbase bookworm "$scratch/base" >"$scratch/log" || fail "$(tail "$scratch/log")"
    rm -r "$scratch/base/etc/apt"
    cp -a /etc/apt "$scratch/base/etc/apt"
    tar -C "$scratch/base" -cf "$base.new" .
    mv "$base.new" "$base"
    rm -rf "$scratch/base"
fi
container=$(image from scratch)
image add --quiet "$container" "$base" / >/dev/null
image commit --quiet --rm "$container" localhost/debian >/dev/null

build localhost/overhand docker/Dockerfile BASE=localhost/debian .
image images --format '{{.Name}} {{.Size}}' localhost/overhand
[ "$(run localhost/overhand id -u)" = 10001 ] || fail "not user 10001"
for program in overhand overhand-master overhand-worker; do
    run localhost/overhand "$program" --version || fail "$program does not run"
done

mkdir -p "$scratch/context/build/release"
install -m 0600 "$jar" "$scratch/context/build/release/overhand-spark.jar"
build localhost/spark-overhand docker/Dockerfile.spark SPARK=localhost/overhand "$scratch/context"
[ "$(run localhost/spark-overhand id -u)" = 185 ] || fail "not Spark's user"
run localhost/spark-overhand busybox cmp /opt/spark/jars/overhand-spark.jar - <"$jar" || fail "the jar is not there"
echo "both Dockerfiles: built and run"
