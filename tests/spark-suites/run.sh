#!/usr/bin/env bash
#
# Spark's own test suites, from its published tests jars, with Overhand as the shuffle manager.
#
# A group of suites (groups.txt) gets a cluster from `overhand local` and a JVM with ScalaTest. judge.py compares
# what ScalaTest reports with differences.tsv, the list of tests that may not pass, prints a table and gives
# the exit code. `fallback=never` makes a shuffle that Overhand does not serve an error; what it did serve is
# counted from the driver's log, suite by suite.
#
# Usage: tests/spark-suites/run.sh [--own] [--results DIR] SPARK_VERSION [GROUP | SUITE]...
#
#   --own              with Spark's own shuffle instead: what fails there is none of Overhand's doing
#   --results DIR      keep ScalaTest's reports (XML), the log and the table (results.tsv) there
#   GROUP, SUITE       of groups.txt; several share the JVM (default: each group in turn)
#   OVERHAND_BIN_DIR, OVERHAND_CACHE   as in tests/spark/cluster.sh; the cache also has spark-tests-VERSION
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
here=tests/spark-suites

usage() {
    sed -n '/^# Usage/,/^set /{/^set /d;s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2
    exit 2
}

own=
results=
while [ $# -gt 0 ]; do
    case $1 in
        --own) own=--own ;;
        --results) results=$2 && shift ;;
        -*) usage ;;
        *) break ;;
    esac
    shift
done
[ $# -ge 1 ] || usage
version=$1
shift

# shellcheck source=tests/spark/cluster.sh
source tests/spark/cluster.sh
open_spark "$version"
tests=${OVERHAND_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/overhand}/spark-tests-$version
[ -d "$tests/unpacked" ] || {
    echo "no tests of Spark $version in $tests" >&2
    exit 2
}
results=${results:-$dir/results}
mkdir -p "$results" "$dir/classes" "$dir/tmp"
results=$(cd "$results" && pwd)
limit_s=1500 # for one JVM

# The suites of a group on this line of Spark, or one suite by the last part of its name, as in groups.txt.
suites_of() {
    awk -v name="$1" -v line="${version%.*}" '
        /^[^#]/ && ($1 == name || $2 ~ "[.]" name "[*]?$") && ($3 ~ /^[*]?$/ || $3 == line) { print $2 }' \
        $here/groups.txt
}

# ScalaTest's arguments for one suite: the suite, and the words that its tests are chosen by.
suite_arguments() {
    printf -- '-s\n%s\n' "$1"
    awk -v name="${1##*.}" '
        /^[^#]/ && $2 ~ "[.]" name "$" { n = split($4, words, ","); for (i = 1; i <= n; i++) print "-z\n" words[i] }' \
        $here/groups.txt
}

# Makes and compiles subclasses of the suites marked with a star, in the same package under another name.
compile_subclasses() {
    local suite name package
    for suite in "$@"; do
        case $suite in *'*') ;; *) continue ;; esac
        suite=${suite%'*'} name=${suite##*.} package=${suite%.*}
        mkdir -p "$dir/src/$package"
        cat >"$dir/src/$package/With$name.java" <<EOF
package $package;

public class With$name extends $name {
    public With$name() {
        System.getProperties().stringPropertyNames().stream().filter(key -> key.startsWith("spark."))
                .forEach(key -> conf().set(key, System.getProperty(key)));
    }
}
EOF
    done
    [ -d "$dir/src" ] || return 0
    "$JAVA_HOME/bin/javac" -nowarn -Xlint:none -proc:none -cp "$SPARK_HOME/jars/*:$tests/*" \
        -d "$dir/classes" "$dir"/src/*/*.java
}

# Java options of Spark's own scripts: which modules are open.
module_options() {
    SPARK_SCALA_VERSION=any "$JAVA_HOME/bin/java" -cp "$SPARK_HOME/jars/*" org.apache.spark.launcher.Main \
        org.apache.spark.deploy.SparkSubmit --class x x | tr '\0' '\n' |
        grep -E '^(--add-|-XX:\+Ignore|-Djdk\.|-Dio\.netty|--sun-misc|--enable-native)'
}

# Warnings, the names of the tests as they start, the plugin's word on every shuffle, and what a test of
# the logging of plans expects.
write_log_configuration() {
    local suite n=0
    cat <<EOF
appenders=file
appender.file.type=File
appender.file.name=File
appender.file.fileName=\${sys:overhand.test.log}
appender.file.layout.type=PatternLayout
appender.file.layout.pattern=%d{HH:mm:ss.SSS} %t %p %c{1}: %m%n%ex
rootLogger.level=warn
rootLogger.appenderRef.file.ref=File
logger.overhand.name=org.overhand
logger.overhand.level=debug
logger.rules.name=org.apache.spark.sql.catalyst.rules
logger.rules.level=info
EOF
    for suite in "$@"; do
        n=$((n + 1))
        printf 'logger.s%d.name=%s\nlogger.s%d.level=info\n' $n "$suite" $n
    done
}

# System properties that reach every SparkConf: what Spark's own build sets, then what makes it use Overhand.
# The local shuffle reader is on, as in Spark: the plugin would turn it off, and many suites look at its plans.
spark_options() {
    printf -- '-D%s\n' spark.testing=1 "spark.test.home=$SPARK_HOME" spark.port.maxRetries=100 \
        spark.master.rest.enabled=false spark.memory.debugFill=true spark.ui.enabled=false \
        spark.ui.showConsoleProgress=false spark.unsafe.exceptionOnMemoryLeak=true \
        derby.system.durability=test "derby.system.home=$dir/tmp" "java.io.tmpdir=$dir/tmp"
    [ -z "$own" ] || return 0
    printf -- '-D%s\n' spark.shuffle.manager=org.overhand.spark.OverhandShuffleManager \
        "spark.overhand.masters=$masters" spark.overhand.fallback=never \
        spark.sql.adaptive.localShuffleReader.enabled=true
}

# Only the JVM's quick compiler: suites are many short queries. A JVM that takes too long prints its threads'
# stacks (SIGQUIT) and is killed. It stays in this process group (--foreground), so that who ends the
# script ends the JVM.
run_jvm() {
    local out=$1 suite class_path options suites
    shift
    class_path=$dir/classes:$tests/unpacked:$(printf '%s:' "$tests"/*.jar)$jar
    mapfile -t options < <(module_options && spark_options)
    mapfile -t suites < <(for suite in "$@"; do suite_arguments "$suite"; done)
    write_log_configuration "$@" >"$out/log4j2.properties"
    mkdir -p "$dir/cwd"
    (
        cd "$dir/cwd"
        JAVA_HOME=$java_home SPARK_DIST_CLASSPATH=$class_path SPARK_SCALA_VERSION=any \
            timeout --foreground --signal=QUIT --kill-after=10 "$limit_s" \
            "$java_home/bin/java" "${options[@]}" -Xmx3g -Xss4m -XX:+UseSerialGC \
            -XX:TieredStopAtLevel=1 -ea \
            "-Dlog4j2.configurationFile=$out/log4j2.properties" "-Doverhand.test.log=$out/driver.log" \
            -cp "$class_path:$SPARK_HOME/jars/*" org.scalatest.tools.Runner -oW -u "$out/xml" \
            -R "$dir/classes" "${suites[@]}"
    ) >"$out/stdout.log" 2>&1
}

# ScalaTest ends with 1 when a test failed; more than that means that it did not come to its end.
run_group() {
    local rc=0 failed=0 suites out=$results/$1
    shift
    rm -rf "$out" "$dir/cluster" "$dir/cwd" "${work:?}"/*
    mkdir -p "$out/xml"
    mapfile -t suites < <(for name in "$@"; do suites_of "$name"; done)
    [ "${#suites[@]}" -gt 0 ] || {
        echo "no such group or suite: $*" >&2
        return 2
    }
    compile_subclasses "${suites[@]}" || return 2
    mapfile -t suites < <(printf '%s\n' "${suites[@]}" | sed 's/\([^.]*\)[*]$/With\1/')
    start_cluster || return 2
    run_jvm "$out" "${suites[@]}" || rc=$?
    "$bin/overhand" workers --masters "$masters" --json >"$out/workers.json"
    stop_cluster
    python3 $here/judge.py $own --line "${version%.*}" --results "$out" "${suites[@]}" || failed=1
    if [ "$rc" -gt 1 ]; then
        echo "FAIL the JVM ended with $rc; the end of its output:"
        tail -n 300 "$out/stdout.log"
        failed=1
    fi
    if sanitizer_reports "$out/stdout.log"; then
        echo "FAIL a sanitizer found something"
        failed=1
    fi
    return $failed
}

if [ $# -gt 0 ]; then
    run_group "$(IFS=+ && echo "$*")" "$@"
    exit
fi
failed=0
for group in $(awk '/^[a-z]/ { print $1 }' $here/groups.txt | uniq); do
    run_group "$group" "$group" || failed=1
done
exit $failed
