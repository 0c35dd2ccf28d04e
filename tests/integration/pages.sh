#!/usr/bin/env bash
#
# What is generated and installed beside the programs: shells understand the completions, and roff the manual
# pages, all without a warning. `cmake --install` puts each where it is looked for.
#
# Usage: tests/integration/pages.sh BUILD_DIRECTORY
set -euo pipefail

build=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# What bash offers for the last of these words: complete WORD...
complete_words() {
    COMP_WORDS=(overhand "$@")
    COMP_CWORD=$#
    _overhand
    echo "${COMPREPLY[*]}"
}

# expect WORDS WORD...
expect() {
    local expected=$1 offered
    shift
    offered=$(complete_words "$@")
    [ "$offered" = "$expected" ] || fail "overhand $*: offers \"$offered\", not \"$expected\""
}

# A shell's builtin registers the function; here it is called by hand.
complete() {
    [ "$*" = "-o filenames -F _overhand overhand" ] || fail "complete $*"
}

cmake --install "$build" --prefix "$scratch" --component tools >"$scratch/log"
share=$scratch/share
# shellcheck source=/dev/null
source "$share/bash-completion/completions/overhand"
mkdir "$scratch/empty" && cd "$scratch/empty"
expect "status" st
expect "--masters" status --m
expect "--masters" --json status --m
expect "--app" --masters here:1 shuffles --a
expect "master" config --as m
expect "check" config c
expect "bash" completion b
expect "" --masters x
mkdir -p "$scratch/some where/inside"
touch "$scratch/some where/file"
cd "$scratch"
expect "some where/inside" fsck "some where/"
expect "some where/file some where/inside" inspect "some where/"
[ "$(complete_words '' | wc -w)" -gt 10 ] || fail "no commands are offered"

zsh -n "$share/zsh/site-functions/_overhand"
for page in man1/overhand.1 man8/overhand-master.8 man8/overhand-worker.8; do
    groff -man -Tutf8 -P-cbou -ww "$share/man/$page" >"$scratch/page" 2>"$scratch/warnings"
    [ ! -s "$scratch/warnings" ] || fail "$page: $(cat "$scratch/warnings")"
    grep -q "EXIT STATUS" "$scratch/page" || fail "$page: no exit status"
done
for program in overhand overhand-master overhand-worker; do
    [ -x "$scratch/bin/$program" ] || fail "$program is not installed"
done
echo "completions and manual pages: all well"
