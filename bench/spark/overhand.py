"""Overhand: one master and two workers of the release build, as `overhand local` starts them."""
import os
import select
import subprocess

import process
from service import Service

START_TIMEOUT_S = 35


class Overhand(Service):
    name = "overhand"

    def start(self):
        command = [os.path.join(self.options.bin, "overhand"), "local", "--workers", "2",
                   "--dir", self.data_directories()[0]]
        local = process.start(command, self.log("cluster"), stdout=subprocess.PIPE, text=True)
        self.processes.append(local)
        ready, _, _ = select.select([local.stdout], [], [], START_TIMEOUT_S)
        line = local.stdout.readline() if ready else ""
        if not line.startswith("ready masters="):
            raise RuntimeError(f"overhand is not ready: it said {line!r}")
        self.masters = line.removeprefix("ready masters=").strip()

    def jar(self):
        return os.path.join(self.options.bin, "overhand-spark.jar")

    def spark_conf(self):
        return {
            "spark.shuffle.manager": "org.overhand.spark.OverhandShuffleManager",
            "spark.overhand.masters": self.masters,
            "spark.overhand.fallback": "never",
            "spark.shuffle.reduceLocality.enabled": "false",
        }

    def data_directories(self):
        return [os.path.join(self.directory, "data")]
