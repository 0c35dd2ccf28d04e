#!/usr/bin/env python3
"""Compare two passes of the TPC-H queries, and print the table that the demo ends with.

    compare.py OVERHAND_DIRECTORY SPARK_DIRECTORY

Each directory is what org.overhand.bench.Run leaves: q<N>.rows with the sorted rows of a query, and
steps.jsonl. Two answers are equal when every row and column is. A query that failed in either pass
counts as different. The exit code is 0 only when all 22 answers are equal.
"""

import dataclasses
import json
import pathlib
import sys

QUERIES = [f"q{number}" for number in range(1, 23)]
MEGABYTE = 1e6


@dataclasses.dataclass
class Result:
    """What one pass says about one query."""

    seconds: float
    shuffle_bytes: int


def read_summary(folder):
    """Map query to Result, for the queries that succeeded."""
    results = {}
    for line in (folder / "steps.jsonl").read_text().splitlines():
        step = json.loads(line)
        if "error" not in step:
            results[step["step"]] = Result(step["seconds"], step["bytes_written"])
    return results


def rows_of(folder, query):
    """The lines of an answer; one without rows has no file."""
    path = folder / f"{query}.rows"
    return path.read_text().splitlines() if path.exists() else []


def first_difference(our_rows, their_rows):
    """A line that says where two answers part, or None when they are equal."""
    if len(our_rows) != len(their_rows):
        return f"{len(our_rows)} rows against {len(their_rows)}"
    for number, (our_row, their_row) in enumerate(zip(our_rows, their_rows), 1):
        if our_row != their_row:
            return f"row {number}: {our_row!r} against {their_row!r}"
    return None


def row_of(name, ours, theirs, verdict):
    return (
        f"{name:>5}  {ours.seconds:10.1f}  {theirs.seconds:10.1f}  "
        f"{ours.shuffle_bytes / MEGABYTE:12.1f}  {theirs.shuffle_bytes / MEGABYTE:12.1f}  {verdict}"
    )


def total(results):
    """The sum of a list of results."""
    return Result(
        sum(result.seconds for result in results), sum(result.shuffle_bytes for result in results)
    )


def ratio(ours, theirs):
    return f"{ours / theirs:.2f}" if theirs else "-"


def compare(our_folder, their_folder):
    """Print the table and return how many answers are equal."""
    ours, theirs = read_summary(our_folder), read_summary(their_folder)
    differences = []
    in_both = [query for query in QUERIES if query in ours and query in theirs]

    print(f"{'':5}  {'seconds':>22}  {'shuffle MB written':>26}")
    print(f"{'query':>5}  {'overhand':>10}  {'spark':>10}  {'overhand':>12}  {'spark':>12}  equal")
    for query in QUERIES:
        if query not in in_both:
            where = " and ".join(
                name for name, pass_ in (("overhand", ours), ("spark", theirs)) if query not in pass_
            )
            differences.append(f"{query}: failed through {where}")
            print(f"{query:>5}  failed through {where}")
            continue
        difference = first_difference(rows_of(our_folder, query), rows_of(their_folder, query))
        if difference:
            differences.append(f"{query}: {difference}")
        print(row_of(query, ours[query], theirs[query], "no" if difference else "yes"))

    our_total, their_total = (total([pass_[q] for q in in_both]) for pass_ in (ours, theirs))
    print(row_of("total", our_total, their_total, ""))
    print(
        f"overhand / spark: time {ratio(our_total.seconds, their_total.seconds)}, "
        f"shuffle bytes {ratio(our_total.shuffle_bytes, their_total.shuffle_bytes)}"
    )
    for difference in differences:
        print(difference)
    return len(QUERIES) - len(differences)


def main():
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    equal = compare(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
    print(f"{equal}/{len(QUERIES)} answers equal")
    return 0 if equal == len(QUERIES) else 1


if __name__ == "__main__":
    sys.exit(main())
