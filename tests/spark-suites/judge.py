#!/usr/bin/env python3
"""Says whether Spark's own suites went as they should, and prints what was run as a table.

Reads, in the directory of one JVM: xml/ (ScalaTest's reports), driver.log (names of tests as they start and
the plugin's line for each shuffle that Overhand serves) and workers.json. A test may fail only if
differences.tsv says why; a line of that list that is not needed any more is an error, too. A suite during
which Overhand served no shuffle is one, because it has proved nothing.

Writes results.tsv: line of Spark, suite, tests, passed, excused, failed, ignored by Spark, shuffles, seconds.
Exit code: 0 all as it should be, 1 not.
"""
import argparse
import collections
import csv
import json
import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree

COLUMNS = ("spark", "suite", "tests", "passed", "excused", "failed", "ignored", "shuffles", "seconds")
SHUFFLE_SERVED = re.compile(r"Shuffle \d+ is Overhand's")
SUITE_LOGS = re.compile(r"INFO (\w+): *$")

Difference = collections.namedtuple("Difference", "line suite test kind reason")


def last_part(name):
    """The name of a suite without its package and without the mark of a subclass that run.sh made."""
    return name.rsplit(".", 1)[-1].removeprefix("With")


def read_differences(path, line, own):
    """The tests that may fail here: (suite, test) -> kind."""
    excused = {}
    with open(path, encoding="utf-8") as file:
        rows = (row for row in file if row.strip() and not row.startswith("#"))
        for row in rows:
            fields = Difference(*row.rstrip("\n").split("\t"))
            if fields.line in (line, "*") and (fields.kind == "spark" or not own):
                excused[fields.suite, fields.test] = fields.kind
    return excused


def read_report(path):
    """One report of ScalaTest: [(test, outcome, message)] and the seconds it took."""
    suite = ElementTree.parse(path).getroot()
    cases = []
    for case in suite.iter("testcase"):
        outcome, message = "passed", ""
        for child in case:
            if child.tag in ("failure", "error"):
                outcome, message = "failed", child.get("message", "")
            elif child.tag == "skipped":
                outcome = "ignored"
        cases.append((case.get("name"), outcome, message))
    return cases, float(suite.get("time", 0))


def count_shuffles(log):
    """Shuffles that Overhand served, by suite (last part of its name). No log: the JVM did not come so far."""
    counts = collections.Counter()
    suite = ""
    if not log.is_file():
        return counts
    with open(log, encoding="utf-8", errors="replace") as file:
        for row in file:
            start = SUITE_LOGS.search(row)
            if start:
                suite = last_part(start.group(1))
            elif SHUFFLE_SERVED.search(row):
                counts[suite] += 1
    return counts


class Judge:
    def __init__(self, args):
        self.args = args
        here = pathlib.Path(__file__).parent
        self.excused = read_differences(here / "differences.tsv", args.line, args.own)
        self.dir = pathlib.Path(args.results)
        self.shuffles = count_shuffles(self.dir / "driver.log")
        self.problems = []

    def problem(self, suite, text):
        self.problems.append(f"FAIL {last_part(suite)}: {text}")

    def judge_case(self, suite, test, outcome, message):
        if outcome == "ignored":
            return outcome
        kind = self.excused.get((last_part(suite), test))
        if outcome == "passed":
            if kind not in (None, "sometimes"):
                self.problem(suite, f"'{test}' passes: take it from differences.tsv")
            return "passed"
        if kind is not None:
            return "excused"
        self.problem(suite, f"'{test}': {message[:300]}")
        return "failed"

    def judge_suite(self, suite):
        report = self.dir / "xml" / f"TEST-{suite}.xml"
        if not report.is_file():
            self.problem(suite, "has not ended")
            return None
        cases, seconds = read_report(report)
        outcomes = collections.Counter(self.judge_case(suite, *case) for case in cases)
        n_shuffles = self.shuffles[last_part(suite)]
        n_run = sum(outcomes.values()) - outcomes["ignored"]
        if n_run == 0:
            self.problem(suite, "no test was run")
        if n_shuffles == 0 and not self.args.own:
            self.problem(suite, "Overhand served no shuffle")
        return (self.args.line, last_part(suite), n_run, outcomes["passed"], outcomes["excused"], outcomes["failed"],
                outcomes["ignored"], n_shuffles, round(seconds))

    def run(self):
        rows = [row for row in map(self.judge_suite, self.args.suites) if row]
        with open(self.dir / "results.tsv", "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter="\t", lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows(rows)
        print_table(rows)
        if not self.args.own:
            workers = json.loads((self.dir / "workers.json").read_text(encoding="utf-8"))
            n_bytes = sum(worker["pushed_bytes"] for worker in workers)
            print(f"workers took {n_bytes} bytes")
            if n_bytes == 0:
                self.problem("cluster", "nothing was pushed to it")
        for problem in self.problems:
            print(problem)
        return 1 if self.problems else 0


def print_table(rows):
    shown = [COLUMNS] + rows
    widths = [max(len(str(row[i])) for row in shown) for i in range(len(COLUMNS))]
    for row in shown:
        print("  ".join(str(field).ljust(width) for field, width in zip(row, widths)).rstrip())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--line", required=True, help="line of Spark, as 3.5")
    parser.add_argument("--results", required=True, help="directory of the JVM's output")
    parser.add_argument("--own", action="store_true", help="it was Spark's own shuffle")
    parser.add_argument("suites", nargs="+", help="classes of the suites that were run")
    return Judge(parser.parse_args()).run()


if __name__ == "__main__":
    sys.exit(main())
