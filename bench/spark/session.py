"""One run of one workload: a virtual machine of Spark's, and the figures of each of its steps.

The program at the other end stops before and after each step and waits for a line, so that all processes can be
looked at while nothing runs.
"""
import json
import os
import subprocess
import threading

import process

COMMON_CONF = {
    "spark.ui.enabled": "false",
    # What Celeborn and Uniffle ask for, and better for Spark's own shuffle, too.
    "spark.serializer": "org.apache.spark.serializer.KryoSerializer",
}
MASTERS = {"local": "local[2]", "cluster": "local-cluster[2,1,2048]"}


class Session:
    def __init__(self, options, workload, service, directory):
        self.options = options
        self.workload = workload
        self.service = service
        self.directory = directory
        self.local = os.path.join(directory, "local")
        os.makedirs(self.local, exist_ok=True)
        self.driver = None
        self.before = None  # usage of driver and servers before the step that runs
        self.after = None

    def command(self):
        conf = {**COMMON_CONF, "spark.local.dir": self.local, **self.workload.conf, **self.service.spark_conf()}
        if self.service.jar():
            conf["spark.driver.extraClassPath"] = conf["spark.executor.extraClassPath"] = self.service.jar()
        command = [os.path.join(self.options.spark_home, "bin", "spark-submit"),
                   "--master", MASTERS[self.options.master], "--driver-memory", "4g"]
        for key, value in conf.items():
            command += ["--conf", f"{key}={value}"]
        if self.workload.script:
            here = os.path.dirname(os.path.abspath(__file__))
            command.append(os.path.join(here, self.workload.script))
        else:
            command += ["--class", "org.overhand.bench.Run", self.options.jar, "--workload", self.workload.name]
        arguments = {"out": os.path.join(self.directory, "answers"), "paced": "yes",
                     "warm-up": self.options.warm_up, **self.workload.arguments}
        if self.workload.tables:
            arguments["data"] = self.options.data[self.workload.tables]
        if self.options.steps:
            arguments["steps"] = self.options.steps
        for key, value in arguments.items():
            command += [f"--{key}", str(value)]
        return command

    def environment(self):
        home = os.path.dirname(self.options.spark_home)
        libraries = [os.path.join(home, "lib", name) for name in sorted(os.listdir(os.path.join(home, "lib")))]
        return {**os.environ, "SPARK_HOME": self.options.spark_home, "SPARK_LOCAL_IP": "127.0.0.1",
                "PYTHONPATH": ":".join(libraries), "PYSPARK_PYTHON": "python3", **self.service.environment()}

    def run(self):
        """Yield a dictionary for each step. A machine that does not end well is an exception."""
        log = os.path.join(self.directory, "spark.log")
        self.driver = process.start(self.command(), log, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                    env=self.environment())
        timer = threading.Timer(self.options.limit_s, self.driver.kill)
        timer.start()
        failed = False
        try:
            for line in self.driver.stdout:
                if not line.startswith("{"):
                    continue
                message = json.loads(line)
                if "ready" in message or "ran" in message:
                    self.pace("ready" in message)
                else:
                    failed |= "error" in message
                    yield {**message, **self.figures()}
            status = self.driver.wait()
        finally:
            timer.cancel()
            process.end(self.driver)
        if status != 0 and not failed:
            raise RuntimeError(f"Spark ended with status {status}: see {log}")

    def pace(self, ready):
        now = process.usage([self.driver.pid]), self.service.usage()
        if ready:
            self.before = now
        else:
            self.after = now
        self.driver.stdin.write("\n")
        self.driver.stdin.flush()

    def figures(self):
        spark, servers = (after.since(before) for before, after in zip(self.before, self.after))
        directories = [self.local] + self.service.data_directories()
        return {
            "spark_cpu_s": round(spark.cpu_s, 2),
            "servers_cpu_s": round(servers.cpu_s, 2),
            "spark_peak_mib": round(spark.peak_mib, 1),
            "servers_peak_mib": round(servers.peak_mib, 1),
            "disk_written_mb": round(spark.disk_written_mb + servers.disk_written_mb, 1),
            "disk_used_mb": round(process.disk_used_mb(directories), 1),
        }
