"""Uniffle: one coordinator and two shuffle servers of its binary release. docs/PERFORMANCE.md gives the
reason of each setting."""
import glob
import json
import os
import urllib.request

import process
from service import Service, accepts, free_ports

START_TIMEOUT_S = 120
# What the release's scripts give the virtual machine, but for the numbers of collector threads: they are for
# machines of many cores, and Java's own choice is better here.
JAVA_OPTIONS = ["-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=200", "-XX:InitiatingHeapOccupancyPercent=60"]
SERVER_MEMORY = ["-Xms1g", "-Xmx1g", "-XX:MaxDirectMemorySize=3g"]
COORDINATOR_MEMORY = ["-Xmx1g"]


class Uniffle(Service):
    name = "uniffle"

    @staticmethod
    def clients(options):
        jars = os.path.join(options.uniffle_home, "jars", "client", "spark3")
        return glob.glob(os.path.join(jars, "rss-client-spark3-shaded-*.jar"))

    @classmethod
    def missing(cls, options):
        return None if cls.clients(options) else f"no binary release in {options.uniffle_home}"

    def start(self):
        self.home = self.options.uniffle_home
        self.client, = self.clients(self.options)
        port, self.http, *server_ports = free_ports(8)
        self.quorum = f"127.0.0.1:{port}"
        self.start_one("coordinator", "org.apache.uniffle.coordinator.CoordinatorServer", COORDINATOR_MEMORY, {
            "rss.rpc.server.port": port,
            "rss.jetty.http.port": self.http,
            "rss.coordinator.shuffle.nodes.max": 13,
            "rss.coordinator.select.partition.strategy": "CONTINUOUS",
        })
        process.wait_until(lambda: accepts(port), START_TIMEOUT_S, "Uniffle's coordinator", self.processes)
        for number, data in enumerate(self.data_directories()):
            rpc, http, netty = server_ports[3 * number:3 * number + 3]
            os.makedirs(data, exist_ok=True)
            self.start_one(f"server{number + 1}", "org.apache.uniffle.server.ShuffleServer", SERVER_MEMORY, {
                "rss.rpc.server.port": rpc,
                "rss.jetty.http.port": http,
                "rss.rpc.server.type": "GRPC_NETTY",
                "rss.server.netty.port": netty,
                "rss.storage.basePath": data,
                "rss.storage.type": "MEMORY_LOCALFILE",
                "rss.coordinator.quorum": self.quorum,
                "rss.server.buffer.capacity": "1900m",
                "rss.server.read.buffer.capacity": "106m",
                "rss.server.single.buffer.flush.enabled": "true",
                "rss.server.single.buffer.flush.threshold": "128m",
                "rss.server.disk.capacity": "20g",
            })
        process.wait_until(self.registered, START_TIMEOUT_S, "Uniffle's servers", self.processes)

    def start_one(self, name, main_class, memory, conf):
        directory = os.path.join(self.directory, name)
        os.makedirs(directory)
        path = os.path.join(directory, "uniffle.conf")
        with open(path, "w", encoding="utf-8") as file:
            for key, value in conf.items():
                file.write(f"{key} {value}\n")
        kind = "coordinator" if name == "coordinator" else "server"
        logs = [f"-Dlog4j2.configurationFile=file:{self.home}/conf/log4j2.xml", f"-Dlog.path={directory}/{kind}.log"]
        logs += [f"-D{which}.audit.log.path={directory}/{which}_audit.log" for which in ("storage", "rpc", kind)]
        command = [os.path.join(os.environ["JAVA_HOME"], "bin", "java"), *JAVA_OPTIONS, *memory, *logs,
                   "-cp", os.path.join(self.home, "jars", kind, "*"), main_class, "--conf", path]
        environment = {**os.environ, "RSS_IP": "127.0.0.1", "MALLOC_ARENA_MAX": "4"}
        self.processes.append(process.start(command, self.log(name), env=environment, cwd=directory))

    def registered(self):
        """The servers tell the coordinator of themselves some seconds after their start."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/api/server/nodes?status=ACTIVE") as answer:
                return len(json.load(answer)["data"]) == 2
        except (OSError, ValueError, KeyError, TypeError):
            return False  # not yet

    def jar(self):
        return self.client

    def environment(self):
        return {"RSS_IP": "127.0.0.1"}

    def spark_conf(self):
        return {
            "spark.shuffle.manager": "org.apache.spark.shuffle.RssShuffleManager",
            "spark.rss.coordinator.quorum": self.quorum,
            "spark.rss.storage.type": "MEMORY_LOCALFILE",
            "spark.rss.client.type": "GRPC_NETTY",
            "spark.rss.writer.buffer.spill.size": "512m",
            "spark.shuffle.service.enabled": "false",
            "spark.sql.adaptive.localShuffleReader.enabled": "false",
            "spark.dynamicAllocation.shuffleTracking.enabled": "false",
        }

    def data_directories(self):
        return [os.path.join(self.directory, f"data{number}") for number in (1, 2)]
