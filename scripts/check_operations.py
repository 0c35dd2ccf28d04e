#!/usr/bin/env python3
"""Check that docs/OPERATIONS.md speaks of what exists.

Every `overhand` command in it with its options, every value of the chart, every key of the daemons and every alert is
looked up where it comes from; each alert of the chart must be in the table; links must lead to files.

Prints one line for each thing that is not there and exits with 1 when there is one.

Usage: scripts/check_operations.py BUILD_DIRECTORY
"""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/OPERATIONS.md"
CHART = ROOT / "deploy/helm/overhand"
FREE = ("worker.claimRetention", "worker.updateStrategy", "worker.zone", "image")  # what is in them is no map's key


def help_of(overhand, *command):
    result = subprocess.run([overhand, *command, "--help"], capture_output=True, text=True, check=False)
    return result.stdout if result.returncode == 0 else None


def commands(text):
    """Each command line that is shown, without what follows it in the same line."""
    for line in re.findall(r"(?:^|`)(?:ovh|overhand) +([^`#\n]*)", text, re.MULTILINE):
        yield line.split()


def unknown_commands(text, overhand):
    for words in commands(text):
        page = help_of(overhand, words[0])
        if page is None:
            yield f"overhand {words[0]}: no such command"
            continue
        for option in (word for word in words if word.startswith("--")):
            if f"  {option} " not in page:
                yield f"overhand {words[0]} {option}: no such option"


def chart_values():
    """The names of all values, "worker.disks", as far as they are maps in values.yaml."""
    names, path = set(), []
    for line in (CHART / "values.yaml").read_text().splitlines():
        match = re.match(r"( *)([A-Za-z]\w*):", line)
        if match:
            path = path[: len(match[1]) // 2] + [match[2]]
            names.add(".".join(path))
    return names


def unknown_names(text):
    """Keys and values with a dot, as `disk.reserve` or `worker.replicas=9`."""
    keys = set(re.findall(r"^\| `([\w.]+)` \|", (ROOT / "docs/CONFIGURATION.md").read_text(), re.MULTILINE))
    keys |= set(re.findall(r"^\| `([\w.]+)` \|", (ROOT / "docs/SPARK.md").read_text(), re.MULTILINE))
    values = chart_values()
    sections = {name.split(".")[0] for name in keys | values} - {"overhand"}
    for name in re.findall(r"(?:`|--set )([A-Za-z]\w*(?:\.\w+)+)[`=:]", text):
        known = name in keys or name in values or name.rsplit(".", 1)[0] in FREE
        if name.split(".")[0] in sections and not known:
            yield f"{name}: neither a key of the daemons nor a value of the chart"


def unknown_alerts(text):
    there = set(re.findall(r"alert: (\w+)", (CHART / "files/overhand.rules.yaml").read_text()))
    told = set(re.findall(r"`(Overhand[A-Z]\w+)`", text))
    yield from (f"{name}: no such alert" for name in sorted(told - there))
    yield from (f"{name}: an alert without a row" for name in sorted(there - told))


def dead_links(text):
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if not (PAGE.parent / target).exists():
            yield f"{target}: leads nowhere"


def main():
    text = PAGE.read_text()
    overhand = pathlib.Path(sys.argv[1]) / "overhand"
    found = [*unknown_commands(text, overhand), *unknown_names(text), *unknown_alerts(text), *dead_links(text)]
    for line in found:
        print(f"docs/OPERATIONS.md: {line}")
    sys.exit(1 if found else 0)


main()
