#!/usr/bin/env python3
"""Check what deploy/monitoring/ says about metrics.

promtool judges the alert rules and runs their test. Of the dashboards every expression is parsed, by promtool
too, and every metric that rules and dashboards name must be one that the daemons write: the string literals
of src/ are the list. A rule without a test, and a panel without a description, are findings.

Prints one line for each finding and exits with 1 when there is one.
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDER = ROOT / "deploy" / "monitoring"
METRIC = re.compile(r"\b(?:overhand_(?:worker|master)|process)_[a-z_]+\b")
LITERAL = re.compile(r'"((?:overhand_(?:worker|master)|process)_[a-z_]+)"\s*,\s*(?:"(\w+)")?')
VARIABLE = re.compile(r"\$__rate_interval|\$instance")
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count")}


def written_metrics():
    """Every series that the daemons' pages can have, from the calls that begin a family."""
    names = set()
    for file in sorted((ROOT / "src").rglob("*metrics*.c")):
        for name, kind in LITERAL.findall(file.read_text()):
            names.update(name + suffix for suffix in SUFFIXES.get(kind, ("",)))
    return names


def promtool(*arguments):
    """What promtool finds fault with, "" for nothing."""
    done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def panels(dashboard):
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield panel, target["expr"]


def syntax_findings(expressions):
    """Let promtool parse expressions: as the recording rules of a file."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        rules = [{"record": f"expression_{i}", "expr": VARIABLE.sub("5m", expression)}
                 for i, expression in enumerate(expressions)]
        json.dump({"groups": [{"name": "dashboards", "rules": rules}]}, file)  # JSON is YAML
        file.flush()
        return promtool("check", "rules", file.name)


def findings():
    written = written_metrics()
    rules = FOLDER / "overhand.rules.yaml"
    test = FOLDER / "overhand.rules.test.yaml"
    yield promtool("check", "rules", rules)
    yield promtool("test", "rules", test)
    for name in sorted(set(METRIC.findall(rules.read_text())) - written):
        yield f"{rules.name}: no daemon writes {name}"
    for alert in re.findall(r"- alert: (\w+)", rules.read_text()):
        if not re.search(rf"alertname: {alert}\n +exp_alerts:\n", test.read_text()):
            yield f"{test.name}: no test in which {alert} fires"
    expressions = []
    for file in sorted(FOLDER.glob("dashboard-*.json")):
        dashboard = json.loads(file.read_text())
        for panel, expression in panels(dashboard):
            expressions.append(expression)
            if not panel.get("description"):
                yield f"{file.name}: panel {panel['title']!r} does not say which question it answers"
        used = set(METRIC.findall(" ".join(e for _, e in panels(dashboard))))
        for name in sorted(used - written):
            yield f"{file.name}: no daemon writes {name}"
    if not expressions:
        yield "there are no dashboards"
    yield syntax_findings(expressions)


def main():
    found = [line for line in findings() if line]
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
