"""A shuffle service: its processes on this machine, and what Spark must be told to use it."""
import os
import socket

import process


class Service:
    """Spark's own shuffle: no process, nothing to tell."""

    name = "sort"

    def __init__(self, options, directory):
        self.options = options
        self.directory = directory
        self.processes = []
        os.makedirs(directory, exist_ok=True)

    @staticmethod
    def missing(options):
        """What is not there that must be there to run it, or None."""
        return None

    def start(self):
        """Return when Spark can use it."""

    def stop(self):
        """End all processes, the last one first."""
        while self.processes:
            process.end(self.processes.pop())

    def jar(self):
        """What belongs on Spark's class path, or None."""
        return None

    def spark_conf(self):
        return {}

    def environment(self):
        """What Spark's processes need in their environment."""
        return {}

    def data_directories(self):
        """Where its servers keep shuffle data."""
        return []

    def usage(self):
        return process.usage([one.pid for one in self.processes])

    def log(self, name):
        return os.path.join(self.directory, f"{name}.log")

    def says(self, name, text):
        """Whether a log has a text by now."""
        with open(self.log(name), encoding="utf-8", errors="replace") as log:
            return text in log.read()


def free_ports(count):
    """Ports nobody listens on now; all are held until the last one is known, so that they differ."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def accepts(port):
    """Whether somebody listens on a port."""
    with socket.socket() as one:
        one.settimeout(1)
        return one.connect_ex(("127.0.0.1", port)) == 0
