"""Shuffles of a PySpark application: Python objects and rows, through Overhand and through Spark's own
shuffle, one after the other in this process. Prints PASS or FAIL for each case, like the suites in Java.

    spark-submit shuffles.py MASTERS
"""

import sys
import time
import traceback
from operator import add

from pyspark import TaskContext
from pyspark.sql import SparkSession
from pyspark.sql import functions as f

N = 5000


def numbers(spark):
    return spark.sparkContext.parallelize(range(N), 4)


def words(spark):
    return numbers(spark).map(lambda i: (f"word {i % 97}", i))


def fail_once(records):
    """The first attempt of partition 1 fails in its middle."""
    for n, record in enumerate(records):
        task = TaskContext.get()
        if n == 100 and task.partitionId() == 1 and task.attemptNumber() == 0:
            raise RuntimeError("this attempt fails on purpose")
        yield record


def table(spark):
    rows = [(i, i % 31, f"name {i % 7}", None if i % 5 == 0 else i * 0.5) for i in range(N)]
    return spark.createDataFrame(rows, "id long, k int, name string, x double")


def rows(frame):
    return sorted(map(repr, frame.collect()))


CASES = {
    "reduceByKey": lambda s: sorted(words(s).reduceByKey(add, 5).collect()),
    "sortByKey": lambda s: numbers(s).map(lambda i: (i * 7919 % N, {"i": i})).sortByKey().collect(),
    "groupByKey of nested objects": lambda s: sorted(
        (k, sorted(v)) for k, v in numbers(s).map(lambda i: ((i % 3, "k"), [i, None])).groupByKey().collect()
    ),
    "join": lambda s: sorted(words(s).join(words(s).filter(lambda p: p[1] < 200), 3).collect()),
    "distinct": lambda s: sorted(numbers(s).map(lambda i: i % 77).distinct().collect()),
    "repartition": lambda s: sorted(numbers(s).repartition(9).collect()),
    "a record of 8 MiB": lambda s: sorted(
        numbers(s).filter(lambda i: i < 3).map(lambda i: (i, "x" * (8 << 20))).partitionBy(2)
        .map(lambda p: (p[0], len(p[1]))).collect()
    ),
    "no records": lambda s: s.sparkContext.emptyRDD().map(lambda i: (i, i)).reduceByKey(add).collect(),
    "a map task fails once": lambda s: sorted(
        numbers(s).mapPartitions(fail_once).map(lambda i: (i % 10, i)).reduceByKey(add).collect()
    ),
    "DataFrame groupBy": lambda s: rows(table(s).groupBy("k").agg(f.sum("id"), f.max("name"), f.avg("x"))),
    "DataFrame orderBy": lambda s: list(map(repr, table(s).orderBy(f.desc("name"), "id").collect())),
    "DataFrame join": lambda s: rows(
        table(s).alias("a").join(table(s).alias("b"), f.expr("a.id = b.id + 100")).select("a.id", "b.name")
    ),
    "Python function between two shuffles": lambda s: rows(
        table(s).repartition(5, "k").select("k", f.udf(lambda n: n.upper())("name").alias("n"))
        .groupBy("n").agg(f.count("*"), f.sum("k"))
    ),
}


def session(settings):
    builder = SparkSession.builder.appName("overhand python test")
    settings = {
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "7",
        "spark.sql.autoBroadcastJoinThreshold": "-1",
        **settings,
    }
    for key, value in settings.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def run(spark, expected):
    """Return the answers by name, without those that failed or that differ from what is expected."""
    answers = {}
    for name, case in CASES.items():
        begin = time.monotonic()
        try:
            answer = case(spark)
            if expected is not None and answer != expected[name]:
                raise AssertionError(f"is {str(answer)[:200]}, not {str(expected[name])[:200]}")
            answers[name] = answer
            verdict = "PASS"
        except Exception:  # a case may fail in any way; all of them are shown and counted
            traceback.print_exc()
            verdict = "FAIL"
        suffix = " with Spark's own shuffle" if expected is None else ""
        print(f"{verdict} python {name}{suffix} ({time.monotonic() - begin:.1f} s)", flush=True)
    return answers


def main(masters):
    spark = session({})
    expected = run(spark, None)
    spark.stop()
    spark = session({
        "spark.shuffle.manager": "org.overhand.spark.OverhandShuffleManager",
        "spark.overhand.masters": masters,
        "spark.overhand.fallback": "never",
    })
    answers = run(spark, expected)
    spark.stop()
    n_failed = 2 * len(CASES) - len(expected) - len(answers)
    print(f"{len(expected) + len(answers)} passed, {n_failed} failed in python", flush=True)
    return 1 if n_failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
