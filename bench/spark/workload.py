"""The workloads: what each of them runs, and how large it is."""
import dataclasses

GIB = 1 << 30


@dataclasses.dataclass
class Workload:
    """One program of benchmark steps with its arguments, given to one virtual machine."""

    name: str
    about: str
    arguments: dict
    tables: str = ""  # of which benchmark it needs the data, if of any
    scale: str = ""
    conf: dict = dataclasses.field(default_factory=dict)
    script: str = ""  # a Python program instead of the runner's

    def title(self):
        sizes = " ".join(f"{key}={value}" for key, value in self.arguments.items())
        return f"{self.name} {f'scale={self.scale}' if self.scale else sizes}".strip()


def queries(tables, scale, broadcast):
    conf = {} if broadcast else {"spark.sql.autoBroadcastJoinThreshold": "-1"}
    return Workload(tables, f"the queries of {tables}", {}, tables=tables, scale=scale, conf=conf)


def all_workloads(options):
    """By name, in the order in which they run."""
    quick = options.quick
    sort_bytes = options.sort_bytes or (GIB if quick else 10 * GIB)
    skew_bytes = options.skew_bytes or (GIB if quick else 4 * GIB)
    width = options.blocks or (500 if quick else 5000)
    records = options.records or (200_000 if quick else 2_000_000)
    workloads = [
        queries("tpch", options.tpch_scale, options.broadcast),
        queries("tpcds", options.tpcds_scale, options.broadcast),
        Workload("sort", "a total sort of rows made in the job", {"bytes": sort_bytes}),
        Workload("skew", "a join in which one key has half of the rows, split by adaptive execution",
                 {"bytes": skew_bytes}, conf={"spark.sql.autoBroadcastJoinThreshold": "-1"}),
        Workload("blocks", "as many map as reduce tasks, one record from each to each", {"width": width}),
        Workload("shuffles", "small shuffles, one after the other", {"count": 200}),
        Workload("pyspark", "reduceByKey and sortBy of Python objects", {"records": records},
                 script="pyspark_rdd.py"),
    ]
    return {workload.name: workload for workload in workloads}


QUICK = ["tpch", "sort", "shuffles"]
