#!/usr/bin/env python3
"""Check that includes point in one direction.

    core  <-  net  <-  disk  <-  master, worker, client, cli
    core  <-  show  <-  http, cli
              http  <-  master, worker

The table says, for each part of src/, which other parts it may include; a part may always include
itself, the public header and system headers. The JNI glue sees the public header, its own headers,
jni.h and system headers only. A name that no file below src/ has (generated code) is let through.

Prints one line for each violation and exits with 1 when there is one.
"""

import pathlib
import re
import sys

MAY_INCLUDE = {
    "core": set(),
    "net": {"core"},
    "disk": {"core", "net"},  # the loop its callbacks run on
    "show": {"core"},
    "http": {"core", "net", "show"},
    "master": {"core", "net", "disk", "show", "http"},
    "worker": {"core", "net", "disk", "show", "http"},
    "client": {"core", "net", "disk"},
    "cli": {"core", "net", "disk", "show"},
    "client/jni": set(),
}
# The tables of what may be configured are data, and the command line checks files against them.
ALSO = {"cli": {"master/master_conf.h", "worker/worker_conf.h"}}
QUOTED_INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')


def part_of(path):
    """The part a path relative to src/ belongs to: its folder, the JNI glue apart from its parent."""
    return "client/jni" if path.parts[:2] == ("client", "jni") else path.parts[0]


def find_target(source, file, name):
    """The path relative to src/ that a quoted include names, or None when no file there has it."""
    for folder in (file.parent, source):
        candidate = (folder / name).resolve()
        if candidate.is_file() and candidate.is_relative_to(source):
            return candidate.relative_to(source)
    return None


def violations(source):
    for file in sorted(source.rglob("*.[ch]")):
        own = part_of(file.relative_to(source))
        if own not in MAY_INCLUDE:
            yield f"{file}: src/{own} is not in the table of {pathlib.Path(__file__).name}"
            continue
        for number, line in enumerate(file.read_text().splitlines(), 1):
            match = QUOTED_INCLUDE.match(line)
            target = find_target(source, file, match[1]) if match else None
            if target is None:
                continue
            other = part_of(target)
            if other != own and other not in MAY_INCLUDE[own] and str(target) not in ALSO.get(own, ()):
                yield f"{file}:{number}: src/{own} must not include src/{other} ({match[1]})"


def main():
    source = pathlib.Path(__file__).resolve().parent.parent / "src"
    found = list(violations(source))
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
