"""Shuffles of Python objects: what bench/spark/session.py runs for the workload "pyspark".

    pyspark_rdd.py --records N --out DIRECTORY --paced yes --warm-up step [--steps a,b]

The same lines to and fro as the runner in Java: {"ready": STEP}, {"ran": STEP} and one line of figures.
"""
import argparse
import json
import sys
import time

from pyspark import SparkContext

WARM_UP_RECORDS = 1000
SLICES = 8


def pairs(context, records):
    """Numbers in no order, with a text each."""
    return context.range(0, records, numSlices=SLICES).map(
        lambda number: (number * 2654435761 % (1 << 32), f"value {number % 1000}"))


def reduce_by_key(context, records):
    """Four records for each key, spread over all map tasks."""
    keys = max(1, records // 4)
    counts = context.range(0, records, numSlices=SLICES).map(lambda number: (number % keys, number)).reduceByKey(
        lambda a, b: a + b, SLICES)
    return counts.map(lambda pair: (1, hash(pair))).reduce(lambda a, b: (a[0] + b[0], a[1] + b[1]))


def sort_by(context, records):
    def check(part):
        count, total, last = 0, 0, -1
        for key, text in part:
            if key < last:
                raise ValueError("unsorted")
            last = key
            count, total = count + 1, total + key * len(text)
        yield count, total

    parts = pairs(context, records).sortBy(lambda pair: pair[0], numPartitions=SLICES).mapPartitions(check)
    return parts.reduce(lambda a, b: (a[0] + b[0], a[1] + b[1]))


STEPS = {"reduceByKey": reduce_by_key, "sortBy": sort_by}


def shuffle_bytes(context):
    """Bytes written and read by all stages until now, from what Spark keeps for its pages."""
    gateway = context._gateway
    stages = context._jsc.sc().statusStore().stageList(
        None, False, False, gateway.new_array(gateway.jvm.double, 0), gateway.jvm.java.util.ArrayList())
    sums = [0, 0, 0, 0]
    for index in range(stages.size()):
        stage = stages.apply(index)
        figures = (stage.shuffleWriteBytes(), stage.shuffleRemoteBytesRead(), stage.shuffleLocalBytesRead(),
                   stage.shuffleWriteRecords())
        sums = [a + b for a, b in zip(sums, figures)]
    return sums


def pace(what, step):
    print(json.dumps({what: step}), flush=True)
    if not sys.stdin.readline():
        sys.exit("nobody paces this run any more")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--records", "--out", "--paced", "--warm-up", "--steps"):
        parser.add_argument(name)
    args = parser.parse_args()

    context = SparkContext(appName="benchmark pyspark")
    for step in STEPS.values():
        step(context, WARM_UP_RECORDS)
    for name in (args.steps or ",".join(STEPS)).split(","):
        before = shuffle_bytes(context)
        pace("ready", name)
        start = time.monotonic()
        rows, digest = STEPS[name](context, int(args.records))
        seconds = time.monotonic() - start
        pace("ran", name)
        written, remote, local, records = (b - a for a, b in zip(before, shuffle_bytes(context)))
        print(json.dumps({"step": name, "seconds": round(seconds, 4), "rows": rows, "digest": f"{digest:x}",
                          "bytes_written": written, "bytes_read_remote": remote, "bytes_read_local": local,
                          "records": records}), flush=True)
    context.stop()


if __name__ == "__main__":
    main()
