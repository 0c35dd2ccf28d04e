#!/usr/bin/env bash
#
# Check that the JNI library is self-contained: it needs nothing but glibc, and no newer one than that
# of Ubuntu 22.04, and it exports nothing but JNI's entry points. Any executor can then load it.
#
# Usage: scripts/check_jni.sh LIBRARY
set -euo pipefail

library=$1
glibc_max=2.35
failed=0

complain() {
    echo "$library: $*" >&2
    failed=1
}

while read -r needed; do
    case $needed in
        libc.so.6 | libm.so.6 | libdl.so.2 | libpthread.so.0 | librt.so.1 | ld-linux-*) ;;
        *) complain "needs $needed" ;;
    esac
done < <(readelf -d "$library" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')

newest=$(readelf -V "$library" | grep -oE 'GLIBC_[0-9.]+' | sed 's/GLIBC_//' | sort -uV | tail -n 1)
if [ "$(printf '%s\n' "$newest" "$glibc_max" | sort -V | tail -n 1)" != "$glibc_max" ]; then
    complain "needs glibc $newest, newer than $glibc_max"
fi

while read -r name; do
    complain "exports $name"
done < <(nm -D --defined-only "$library" | awk '{ print $3 }' | grep -vE '^(Java_|JNI_On(Unl|L)oad)')

exit "$failed"
