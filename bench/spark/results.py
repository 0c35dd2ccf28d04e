"""What was measured: the lines of all runs, and the tables that sum them up.

A figure of a step is the median over the rounds; a total is the sum of the medians; a ratio is one of medians or of
totals. Server memory is the largest of any step and round.
"""
import json
import statistics

BASE = "overhand"
TRUTH = "sort"


class Results:
    def __init__(self, path):
        self.path = path
        self.lines = []
        self.failures = []

    def add(self, line):
        """Keep one line, and print it."""
        self.lines.append(line)
        text = json.dumps(line)
        print(text, flush=True)
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(text + "\n")
        if "error" in line:
            self.failures.append(f"{line['workload']} {line['step']} through {line['service']}: {line['error']}")

    def fail(self, what):
        self.failures.append(what)
        print(f"FAILED: {what}", flush=True)

    def steps(self, workload):
        """In the order in which they ran."""
        return list(dict.fromkeys(line["step"] for line in self.lines if line["workload"] == workload))

    def values(self, workload, step, service, key):
        return [line[key] for line in self.lines if key in line and line["workload"] == workload
                and line["step"] == step and line["service"] == service]

    def median(self, workload, step, service, key):
        values = self.values(workload, step, service, key)
        return statistics.median(values) if values else None

    def compare_answers(self):
        """How many steps there were, and a line for each service whose answer is not that of Spark's own shuffle."""
        steps, different = 0, []
        for workload in dict.fromkeys(line["workload"] for line in self.lines):
            for step in self.steps(workload):
                steps += 1
                truth = set(self.values(workload, step, TRUTH, "digest"))
                for service in dict.fromkeys(line["service"] for line in self.lines):
                    digests = set(self.values(workload, step, service, "digest"))
                    if truth and digests and digests | truth != truth or len(truth) > 1 and service == TRUTH:
                        different.append(f"{workload} {step}: {service} answered {sorted(digests)}, "
                                         f"{TRUTH} {sorted(truth)}")
        return steps, different

    def print_table(self, workload, services):
        """One workload: its steps, then the sums, then the ratios of the sums."""
        others = [name for name in services if name != BASE]
        print(f"\n### {workload}\n")
        header = ["step"] + [f"{name} s" for name in services] + [f"{BASE}/{name}" for name in others]
        print_row(header)
        print_row(["---"] + ["---:"] * (len(header) - 1))
        for step in self.steps(workload):
            seconds = {name: self.median(workload, step, name, "seconds") for name in services}
            print_row([step] + [number(seconds[name]) for name in services]
                      + [ratio(seconds.get(BASE), seconds[name]) for name in others])
        print()
        print_row(["sum of all steps"] + services + [f"{BASE}/{name}" for name in others])
        print_row(["---"] + ["---:"] * (len(header) - 1))
        for title, measure in MEASURES:
            sums = {name: measure(self, workload, name) for name in services}
            if not any(sums.values()):
                continue
            print_row([title] + [number(sums[name]) for name in services]
                      + [ratio(sums.get(BASE), sums[name]) for name in others])


def total(*keys):
    """Sum, over the steps that every service has, of the medians of some figures."""
    def measure(results, workload, service):
        sums = []
        services = list(dict.fromkeys(line["service"] for line in results.lines if line["workload"] == workload))
        for step in results.steps(workload):
            medians = [results.median(workload, step, service, key) for key in keys]
            if None not in medians and all(results.values(workload, step, name, "seconds") for name in services):
                sums.append(sum(medians))
        return sum(sums) if sums else None
    return measure


def largest(key):
    def measure(results, workload, service):
        values = [value for step in results.steps(workload) for value in results.values(workload, step, service, key)]
        return max(values) if values else None
    return measure


def megabytes(*keys):
    def measure(results, workload, service):
        value = total(*keys)(results, workload, service)
        return None if value is None else value / 1e6
    return measure


MEASURES = [
    ("seconds", total("seconds")),
    ("CPU s, all processes", total("spark_cpu_s", "servers_cpu_s")),
    ("CPU s, servers", total("servers_cpu_s")),
    ("peak MiB, servers", largest("servers_peak_mib")),
    ("peak MiB, Spark", largest("spark_peak_mib")),
    ("shuffle MB written", megabytes("bytes_written")),
    ("shuffle MB read remotely", megabytes("bytes_read_remote")),
    ("shuffle MB read locally", megabytes("bytes_read_local")),
    ("MB written to disk", total("disk_written_mb")),
    ("most MB on disk", largest("disk_used_mb")),
    ("median ms", total("median_ms")),
]


def number(value):
    if value is None:
        return "-"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 1000 else f"{value:.0f}"


def ratio(ours, theirs):
    return f"{ours / theirs:.2f}" if ours is not None and theirs else "-"


def print_row(cells):
    print("| " + " | ".join(cells) + " |")
