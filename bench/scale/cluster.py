"""A cluster for bench/scale: one master and some workers, started and ended by the benchmark."""
import os
import re
import shutil
import signal
import subprocess
import sys
import time

START_LINES_MAX = 1000


class Cluster:
    """Processes from `bin_dir`, on loopback, with their data below `directory`."""

    def __init__(self, bin_dir, directory, n_workers=1, settings=None):
        self.bin_dir, self.directory = bin_dir, directory
        self.processes, self.worker_pids, self.worker_ports = [], [], []
        os.makedirs(directory)
        try:
            self.master = f"127.0.0.1:{self._start('overhand-master', {'ready_after': '0ms'})[1]}"
            self.settings = settings or {}
            for n in range(n_workers):
                self._start_worker(n, 0)
            self._wait_ready()
        except BaseException:
            self.stop()
            raise

    def _start_worker(self, number, port):
        pid, port = self._start("overhand-worker", {
            "id": f"w{number}", "masters": self.master, "heartbeat.interval": "200ms",
            "disk.directories": os.path.join(self.directory, f"w{number}"),
            **self.settings, "listen.port": str(port)})
        self.worker_pids.append(pid)
        self.worker_ports.append(port)

    def stop_worker(self):
        """End the last worker as an operator does; returns the seconds that took and its exit code."""
        started = time.monotonic()
        process = self.processes.pop()
        process.send_signal(signal.SIGTERM)
        code = process.wait()
        process.stdout.close()
        self.worker_pids.pop()
        return time.monotonic() - started, code

    def restart_worker(self):
        """Start it again on its data and at its port; returns the seconds until it serves."""
        started = time.monotonic()
        self._start_worker(len(self.worker_pids), self.worker_ports.pop())
        return time.monotonic() - started

    def _start(self, program, settings):
        command = [os.path.join(self.bin_dir, program), "--set", "listen.host=127.0.0.1",
                   "--set", "listen.port=0", "--set", "log.level=warn",
                   "--set", "http.enabled=off"]
        for key, value in settings.items():
            command += ["--set", f"{key}={value}"]
        log = open(os.path.join(self.directory, program + ".log"), "a", encoding="utf-8")
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        log.close()
        self.processes.append(process)
        for _, line in zip(range(START_LINES_MAX), process.stdout):
            match = re.search(r"serving \S+:(\d+)[ ,]", line)
            if match:
                return process.pid, int(match.group(1))
        sys.exit("did not come up: " + " ".join(command))

    def _wait_ready(self):
        """The master says how many are alive; the CLI is asked until all are."""
        for _ in range(200):
            done = subprocess.run([os.path.join(self.bin_dir, "overhand"), "workers", "--masters", self.master],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
            if done.returncode == 0 and done.stdout.count(" alive ") == len(self.worker_pids):
                return
        sys.exit("the workers did not register: " + done.stdout)

    def pids(self):
        return ",".join(str(pid) for pid in self.worker_pids)

    def disk(self):
        """(files, bytes) below the workers' directories."""
        n_files = n_bytes = 0
        for root, _, names in os.walk(self.directory):
            if not os.path.basename(root).startswith("w"):
                continue
            for name in names:
                n_files += name.endswith(".ovh")
                n_bytes += os.stat(os.path.join(root, name)).st_blocks * 512
        return n_files, n_bytes

    def stop(self):
        """End it without ceremony: its data is thrown away."""
        for process in self.processes:
            process.send_signal(signal.SIGKILL)
            process.stdout.close()
            process.wait()
        shutil.rmtree(self.directory)
