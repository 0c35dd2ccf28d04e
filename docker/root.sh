#!/usr/bin/env bash
#
# Assemble the root of the image: the three programs, the shared libraries they need, a busybox for whoever looks
# inside, user 10001, and for every Debian package that something was taken from its copyright and its state, so
# that scanners know what is there.
#
# docker/Dockerfile runs this on the build's Debian 12, and tests/image/run.sh on the machine that tests.
#
# Usage: docker/root.sh BUILD_DIRECTORY ROOT
set -euo pipefail

build=$1
root=$2
programs=(overhand-master overhand-worker overhand)
applets=(
    awk basename cat cp cut date df diff dirname du echo env find free grep gunzip gzip head hexdump hostname id kill
    less ln ls mkdir mv nc netstat nslookup ping printf ps pwd readlink realpath rm sed sh sleep sort stat tail tar
    tee top touch tr true tty uname uniq vi wc wget which xargs
)

# The Debian package that a file is from. With /lib being /usr/lib, it may be known by either name.
package_of() {
    local file=$1
    { dpkg-query -S "$file" 2>/dev/null || dpkg-query -S "${file#/usr}"; } | sed 's/[:,].*//;q'
}

# Say where a file is from.
note_package() {
    local package
    package=$(package_of "$(realpath "$1")")
    install -D -m 0644 "/usr/share/doc/$package/copyright" "$root/usr/share/doc/$package/copyright"
    dpkg-query -s "$package" >"$root/var/lib/dpkg/status.d/$package"
}

# The shared libraries of the programs, the loader among them, by the names they are looked up by.
libraries() {
    ldd "${programs[@]/#/$build/}" | grep -oE '/[^ ]+\.so[^ ]*' | sort -u
}

rm -rf "$root"
install -d "$root"/usr/{bin,lib,lib64} "$root"/{dev,etc,proc,sys,run} "$root/var/lib/dpkg/status.d"
ln -s usr/bin usr/lib usr/lib64 "$root"
install -d -m 1777 "$root/tmp"

for program in "${programs[@]}"; do
    strip -o "$root/usr/bin/$program" "$build/$program"
done
while read -r library; do
    install -D -m 0755 "$library" "$root$library"
    note_package "$library"
done < <(libraries)
install -m 0755 /bin/busybox "$root/usr/bin/busybox"
note_package /bin/busybox
for applet in "${applets[@]}"; do
    ln -s busybox "$root/usr/bin/$applet"
done

cp /etc/os-release "$root/etc/os-release"
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
printf '%s\n' root:x:0:0::/:/usr/bin/sh overhand:x:10001:10001::/nonexistent:/usr/bin/sh >"$root/etc/passwd"
printf '%s\n' root:x:0: overhand:x:10001: >"$root/etc/group"
install -d -o 10001 -g 10001 -m 0750 "$root/var/lib/overhand"
