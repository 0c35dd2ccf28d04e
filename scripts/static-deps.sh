#!/usr/bin/env bash
# Build the static libraries that the JNI library carries inside itself.
#
# A shared object can only contain position independent code. Debian's libuv_a.a and libzstd.a are
# not, so both are rebuilt here with -fPIC from Debian's own source packages, at the version that is
# installed (so that the installed headers fit). liblz4.a, libprotobuf-c.a and libcrypto.a are, and are
# copied.
#
# Steps: make a private copy of the machine's apt sources with deb-src switched on, fetch the sources
# (apt checks the signatures), build, and move the finished directory to its place in one step.
# Fails, and leaves nothing behind, when a source cannot be fetched or built.
#
# Usage: scripts/static-deps.sh DIRECTORY     (the archives end up in DIRECTORY/lib)
set -euo pipefail

target=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# apt drops to a user of its own while it downloads; that user must be able to walk in here.
chmod 755 "$work"

# A copy of the machine's package sources in which every line asks for sources.
write_source_lists() {
    local file
    mkdir -p "$work/sources" "$work/lists/partial"
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [ -f "$file" ] || continue
        sed -n 's/^deb[[:space:]]/deb-src /p' "$file" >"$work/sources/$(basename "${file%.list}").list"
    done
    for file in /etc/apt/sources.list.d/*.sources; do
        [ -f "$file" ] || continue
        sed 's/^Types:.*/Types: deb-src/' "$file" >"$work/sources/$(basename "$file")"
    done
}

apt_private() {
    apt-get -q -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$work/sources" \
        -o "Dir::State::lists=$work/lists" -o Dir::Cache::srcpkgcache= -o Dir::Cache::pkgcache= "$@"
}

# Fetch and unpack the source of an installed package: fetch_source SOURCE INSTALLED_PACKAGE
fetch_source() {
    local source=$1 installed version
    installed=$2
    version=$(dpkg-query -W -f '${source:Version}' "$installed")
    mkdir -p "$work/$source"
    (
        cd "$work/$source"
        if ! apt_private source --download-only "$source=$version" >fetch.log 2>&1; then
            cat fetch.log >&2
            echo "static-deps: no source of $source $version from the machine's apt sources" >&2
            exit 1
        fi
        # apt has checked the signed chain down to this file: dpkg-source need not know the uploader.
        dpkg-source --no-check -x ./*.dsc tree >unpack.log 2>&1 || {
            cat unpack.log >&2
            exit 1
        }
    )
}

# Build one CMake project and install it below $work/out: build_cmake SOURCE_DIR OPTION...
build_cmake() {
    local dir=$1
    shift
    if ! {
        cmake -S "$dir" -B "$dir/build-pic" -G Ninja -DCMAKE_BUILD_TYPE=Release \
            -DCMAKE_POSITION_INDEPENDENT_CODE=ON -DCMAKE_INSTALL_LIBDIR=lib \
            "-DCMAKE_INSTALL_PREFIX=$work/out" "$@" &&
            cmake --build "$dir/build-pic" --target install
    } >"$work/build.log" 2>&1; then
        tail -n 40 "$work/build.log" >&2
        echo "static-deps: could not build $dir" >&2
        exit 1
    fi
}

write_source_lists
apt_private update >"$work/update.log" 2>&1 || {
    cat "$work/update.log" >&2
    echo "static-deps: apt-get update of the source lists failed" >&2
    exit 1
}
fetch_source libuv1 libuv1-dev
fetch_source libzstd libzstd-dev
build_cmake "$work/libuv1/tree" -DLIBUV_BUILD_TESTS=OFF -DBUILD_TESTING=OFF
build_cmake "$work/libzstd/tree/build/cmake" -DZSTD_BUILD_SHARED=OFF -DZSTD_BUILD_STATIC=ON \
    -DZSTD_BUILD_PROGRAMS=OFF -DZSTD_LEGACY_SUPPORT=OFF

mkdir -p "$target.new/lib"
system=/usr/lib/$(gcc -print-multiarch)
cp "$work/out/lib/libuv_a.a" "$work/out/lib/libzstd.a" \
    "$system/liblz4.a" "$system/libprotobuf-c.a" "$system/libcrypto.a" "$target.new/lib/"
rm -rf "$target"
mv "$target.new" "$target"
