#!/usr/bin/env python3
"""Check that every function declared in a header has a comment directly above it.

Looks at the headers below include/ and src/. A function is a declaration or an inline definition at
file level. Several short declarations may share one comment when no empty line stands between them.

Prints one line for each function without a comment and exits with 1 when there is one.
"""

import pathlib
import re
import sys

# A name followed by an argument list, at the start of a line that is no macro and no type.
FUNCTION = re.compile(r"^(?!\s|#|typedef\b)[\w\s\*]*?\b(\w+)\s*\(")
ATTRIBUTE = re.compile(r"^(__attribute__|_Static_assert|static_assert|extern\s+\"C\")")


def undocumented(text):
    """Yield (line number, name) of each function that has no comment above it."""
    depth = 0  # of braces
    in_comment = False
    in_statement = False  # a declaration goes on from the line before
    documented = False  # a comment belongs to what comes next
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if in_comment:
            in_comment = "*/" not in stripped
            continue
        if stripped.startswith("/*"):
            in_comment = "*/" not in stripped
            documented = True
            continue
        if stripped.startswith("//"):
            documented = True
            continue
        if not stripped:
            documented = False
            continue
        if stripped.startswith("#") or stripped.endswith("\\"):
            continue
        if depth == 0 and not in_statement and not ATTRIBUTE.match(stripped):
            match = FUNCTION.match(line)
            if match and not documented:
                yield number, match[1]
        if depth == 0 and re.match(r'^extern\s+"C"\s*\{', stripped):
            continue
        depth += stripped.count("{") - stripped.count("}")
        depth = max(depth, 0)
        in_statement = depth == 0 and not stripped.endswith((";", "}", ":"))


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    failed = False
    for folder in ("include", "src"):
        for header in sorted((root / folder).rglob("*.h")):
            for number, name in undocumented(header.read_text()):
                print(f"{header.relative_to(root)}:{number}: {name} has no comment above it")
                failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
