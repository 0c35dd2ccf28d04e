"""Celeborn: one master and two workers of its binary release. docs/PERFORMANCE.md gives the reason of each setting."""
import glob
import os
import shutil

import process
from service import Service, accepts, free_ports

START_TIMEOUT_S = 120
MEMORY = {"CELEBORN_MASTER_MEMORY": "1g", "CELEBORN_WORKER_MEMORY": "1g", "CELEBORN_WORKER_OFFHEAP_MEMORY": "2g"}


class Celeborn(Service):
    name = "celeborn"

    @staticmethod
    def clients(options):
        return glob.glob(os.path.join(options.celeborn_home, "spark", "celeborn-client-spark-3-shaded_2.12-*.jar"))

    @classmethod
    def missing(cls, options):
        return None if cls.clients(options) else f"no binary release in {options.celeborn_home}"

    def start(self):
        self.home = self.options.celeborn_home
        self.client, = self.clients(self.options)
        port, http, *worker_https = free_ports(4)
        self.endpoint = f"127.0.0.1:{port}"
        self.start_one("master", "start-master.sh", {
            "celeborn.master.host": "127.0.0.1",
            "celeborn.master.port": port,
            "celeborn.master.http.host": "127.0.0.1",
            "celeborn.master.http.port": http,
        })
        process.wait_until(lambda: accepts(port), START_TIMEOUT_S, "Celeborn's master", self.processes)
        for number, worker_http in enumerate(worker_https, 1):
            self.start_one(f"worker{number}", "start-worker.sh", {
                "celeborn.worker.http.host": "127.0.0.1",
                "celeborn.worker.http.port": worker_http,
                "celeborn.worker.storage.dirs": f"{self.data_directories()[number - 1]}:disktype=SSD",
                "celeborn.worker.monitor.disk.enabled": "false",
            })
        process.wait_until(self.registered, START_TIMEOUT_S, "Celeborn's workers", self.processes)

    def start_one(self, name, script, conf):
        """One process, started by the release's own script, which becomes the Java process."""
        directory = os.path.join(self.directory, name)
        os.makedirs(directory)
        for data in self.data_directories():
            os.makedirs(data, exist_ok=True)
        path = os.path.join(directory, "celeborn-defaults.conf")
        with open(path, "w", encoding="utf-8") as file:
            for key, value in {"celeborn.master.endpoints": self.endpoint, **conf}.items():
                file.write(f"{key} {value}\n")
        shutil.copy(os.path.join(self.home, "conf", "log4j2.xml.template"), os.path.join(directory, "log4j2.xml"))
        environment = {**os.environ, **MEMORY, "CELEBORN_HOME": self.home, "CELEBORN_CONF_DIR": directory,
                       "CELEBORN_LOG_DIR": directory, "CELEBORN_PID_DIR": directory, "CELEBORN_NO_DAEMONIZE": "true",
                       "CELEBORN_LOCAL_HOSTNAME": "127.0.0.1"}
        command = [os.path.join(self.home, "sbin", script), "--host", "127.0.0.1"]
        self.processes.append(process.start(command, self.log(name), env=environment))

    def registered(self):
        """Each worker says so in its log when the master knows it."""
        return all(self.says(f"worker{number}", "Register worker successfully") for number in (1, 2))

    def jar(self):
        return self.client

    def environment(self):
        return {"CELEBORN_LOCAL_HOSTNAME": "127.0.0.1"}

    def spark_conf(self):
        return {
            "spark.shuffle.manager": "org.apache.spark.shuffle.celeborn.SparkShuffleManager",
            "spark.celeborn.master.endpoints": self.endpoint,
            "spark.shuffle.service.enabled": "false",
            "spark.celeborn.client.spark.shuffle.writer": "hash",
            "spark.celeborn.client.push.replicate.enabled": "false",
            "spark.celeborn.client.spark.shuffle.fallback.policy": "NEVER",
            "spark.sql.adaptive.localShuffleReader.enabled": "false",
            "spark.shuffle.sort.io.plugin.class": "org.apache.spark.shuffle.celeborn.CelebornShuffleDataIO",
            "spark.dynamicAllocation.shuffleTracking.enabled": "false",
            "spark.executor.userClassPathFirst": "false",
        }

    def data_directories(self):
        return [os.path.join(self.directory, f"data{number}") for number in (1, 2)]
