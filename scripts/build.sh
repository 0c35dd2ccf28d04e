#!/usr/bin/env bash
#
# Build one preset: the C programs and libraries in build/PRESET, then the Spark plugin's jar, which
# carries that preset's JNI library inside.
#
# The jar is made where Maven makes it (src/client/spark/target) and copied to
# build/PRESET/overhand-spark.jar, which is the name to use: another preset's build replaces Maven's.
#
# Usage: scripts/build.sh release|dev|tsan|fuzz [TARGET]
# TARGET is one of CMake's, to build that alone, without the jar; default: everything.
set -euo pipefail

# shellcheck source=scripts/setup.sh
source scripts/setup.sh
use_java

preset=$1
target=${2:-all}
build=$PWD/build/$preset
plugin=src/client/spark
jar=$build/overhand-spark.jar

case $preset in
    release | dev | tsan | fuzz) ;;
    *) die "unknown preset: $preset (release, dev, tsan, fuzz)" ;;
esac

# One build of a preset at a time, one Maven build of the plugin at a time.
mkdir -p "$build"
exec {build_lock}>"$build/.lock"
flock "$build_lock"

configure() {
    local log=$build/configure.log
    cmake --preset "$preset" "-DOVERHAND_STATIC_DIR=$STATIC_DIR" \
        "-DOVERHAND_SPARK_VERSIONS=$spark_versions" >"$log" 2>&1 || {
        cat "$log" >&2
        die "could not configure $preset"
    }
}

# Ninja configures again by itself when a CMakeLists.txt changes; the rest is ours to notice.
is_configured() {
    [ -f "$build/build.ninja" ] && [ "$build/build.ninja" -nt CMakePresets.json ] &&
        grep -qxF "OVERHAND_STATIC_DIR:PATH=$STATIC_DIR" "$build/CMakeCache.txt" &&
        grep -q "^OVERHAND_SPARK_VERSIONS:.*=$spark_versions\$" "$build/CMakeCache.txt"
}

spark_versions=$(IFS=';' && echo "${SPARK_TEST_VERSIONS[*]}")
is_configured || configure
cmake --build "build/$preset" --target "$target" -- --quiet
[ "$target" = all ] || exit 0

# The sanitizers of tsan and fuzz cannot be loaded into a JVM, so these two presets make no jar.
case $preset in
    tsan | fuzz) exit 0 ;;
esac

[ -f "$build/liboverhand_jni.so" ] ||
    die "no JNI library in build/$preset: CMake did not find the JDK in $JAVA_HOME"

# A sanitizer's runtime is one more library; what is shipped must do without any.
[ "$preset" != release ] || scripts/check_jni.sh "$build/liboverhand_jni.so"

jar_is_fresh() {
    [ -f "$jar" ] && [ "$jar" -nt "$build/liboverhand_jni.so" ] &&
        [ -z "$(find "$plugin/src" "$plugin/pom.xml" -newer "$jar" -print -quit)" ]
}

if ! jar_is_fresh; then
    exec {maven_lock}>build/.maven-lock
    flock "$maven_lock"
    say "building the Spark plugin"
    run_maven "$plugin" "-Dnative.dir=$build" package
    cp "$plugin/target/overhand-spark.jar" "$jar.new"
    mv "$jar.new" "$jar"
fi
