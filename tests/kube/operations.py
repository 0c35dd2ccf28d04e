"""docs/OPERATIONS.md, typed into the Kubernetes of node.py, while a client's data must stay what it was.

The commands are taken from the page: one that is typed here and does not stand there is an error, and so is one that
stands there and was not typed. Names and numbers of a large cluster are those of a small one (SMALLER).

Usage: SCRATCH=DIRECTORY GROUP=CGROUP BUILD=DIRECTORY KUBERNETES=DIRECTORY HELM=helm operations.py, as run.sh calls it.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from node import Failed, Node, ReadyTimes, process_of, run, wait_until

ROOT = Path(__file__).resolve().parents[2]
N_WORKERS = 4
VERSIONS = ("0.1.0", "0.2.0")
SECONDS = 300  # for anything that must come about

# What the page says of a large cluster, and what is typed here.
SMALLER = {
    "worker.replicas=9": f"worker.replicas={N_WORKERS + 1}",
    "worker.replicas=8": f"worker.replicas={N_WORKERS}",
    "overhand-worker-8": f"overhand-worker-{N_WORKERS}",
    "nvme1-overhand": "disk0-overhand",
    "NODE": "node-1",
}

# Commands of the page that belong elsewhere.
ELSEWHERE = {
    "docker build -f docker/Dockerfile -t registry.example.com/overhand:0.1.0 .",  # tests/image/dockerfiles.sh
    "docker build -f docker/Dockerfile.spark -t registry.example.com/spark-overhand:3.5.7 .",
    "./dev build release",  # before this test
    "helm install",  # words, not a command
}

# As the page has it for nodes that stay: local volumes, and the profile that allows io_uring.
VALUES = f"""\
image: {{repository: localhost/overhand}}
seccompInstaller: {{enabled: true}}
master:
  resources: {{requests: {{cpu: 10m, memory: 64Mi}}, limits: {{memory: 256Mi}}}}
worker:
  replicas: {N_WORKERS}
  disks:
    - {{name: disk0, claim: {{size: 1Gi, storageClass: local}}}}
  claimRetention: {{whenScaled: Delete}}
  resources: {{requests: {{cpu: 50m, memory: 256Mi}}, limits: {{memory: 768Mi}}}}
  seccompProfile: {{type: Localhost, localhostProfile: overhand/worker.json}}
"""

# And for nodes that come and go: disks that go with the pod, so that a worker drains when it is stopped.
SPOT_VALUES = f"""\
image: {{repository: localhost/overhand}}
master:
  resources: {{requests: {{cpu: 10m, memory: 64Mi}}, limits: {{memory: 256Mi}}}}
worker:
  replicas: {N_WORKERS}
  disks:
    - {{name: disk0, emptyDir: {{}}}}
  shutdownSeconds: 85
  resources: {{requests: {{cpu: 50m, memory: 256Mi}}, limits: {{memory: 768Mi}}}}
"""

VOLUME_CLASS = """\
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: local}
provisioner: kubernetes.io/no-provisioner
volumeBindingMode: WaitForFirstConsumer
"""

VOLUME = """\
---
apiVersion: v1
kind: PersistentVolume
metadata: {{name: local-{number}}}
spec:
  capacity: {{storage: 1Gi}}
  accessModes: [ReadWriteOnce]
  storageClassName: local
  local: {{path: "{path}"}}
  nodeAffinity:
    required:
      nodeSelectorTerms:
        - matchExpressions: [{{key: kubernetes.io/hostname, operator: In, values: [node-1]}}]
"""

N_VOLUMES = N_WORKERS + 3

MASTERS = ",".join(f"overhand-master-{i}.overhand-master.shuffle.svc.cluster.local:9700" for i in range(3))


class Page:
    """The commands of docs/OPERATIONS.md."""

    def __init__(self, environment, directory):
        text = (ROOT / "docs/OPERATIONS.md").read_text()
        fenced = "".join(re.findall(r"^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL)).splitlines()
        inline = re.findall(r"`((?:ovh|kubectl|helm|overhand) [^`]+)`", text)
        commands = {re.sub(r" +# .*", "", line) for line in [*fenced, *inline]}
        [self.alias] = (line for line in commands if line.startswith("alias "))
        self.commands = commands - {self.alias} - ELSEWHERE
        self.left = set(self.commands)
        self.environment, self.directory = environment, directory

    def script(self, command, names):
        if command not in self.commands:
            raise Failed(f"not in docs/OPERATIONS.md: {command}")
        self.left.discard(command)
        for name, ours in {**SMALLER, **names}.items():
            command = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])" if name.isupper() else re.escape(name), ours, command)
        # Aliases hold from the next line on.
        return ["bash", "-c", f"shopt -s expand_aliases\n{self.alias}\n{command}\n"], command

    def options(self):
        return {"env": self.environment, "cwd": self.directory}

    def type(self, command, more="", **names):
        """Run a command of the page, with `more` behind it; its output."""
        script, typed = self.script(command, names)
        script[2] = script[2].rstrip() + f" {more}\n"
        began = time.monotonic()
        result = subprocess.run(script, capture_output=True, text=True, check=False, timeout=900, **self.options())
        print(f"  $ {typed} {more} ({time.monotonic() - began:.1f} s)", flush=True)
        if result.returncode != 0:
            raise Failed(f"{typed}: {result.returncode}\n{result.stdout}{result.stderr}")
        return result.stdout

    def start(self, command, **names):
        """The same, while other things go on."""
        script, typed = self.script(command, names)
        print(f"  $ {typed} &", flush=True)
        return subprocess.Popen(script, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
                                **self.options())


class Keeper:
    """A client that wrote data and reads them again whenever asked."""

    def __init__(self, build, mib, copies=1):
        self.process = subprocess.Popen([build / "overhand-kube-keeper", MASTERS, str(mib), str(copies)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.expect("written")

    def expect(self, word):
        line = self.process.stdout.readline()
        if not line.startswith(word):
            raise Failed(f"the keeper said '{line.strip()}' and not '{word}', and ended with {self.process.wait(60)}")

    def read(self):
        self.process.stdin.write("read\n")
        self.process.stdin.flush()
        self.expect("read ")

    def end(self):
        self.process.stdin.close()
        if self.process.wait(120) != 0:
            raise Failed(f"the keeper ended with {self.process.returncode}")


class Keepers:
    """Those whose data is there now."""

    def __init__(self):
        self.all = []

    def read(self):
        for keeper in self.all:
            keeper.read()

    def read_during(self, process, what):
        """Read on and on until a command has ended."""
        if not self.all:
            raise Failed(f"{what}: there is nothing to read")
        n_reads = 0
        while process.poll() is None:
            self.read()
            n_reads += 1
        if process.returncode != 0:
            raise Failed(f"{what}: {process.stdout.read()}")
        self.read()
        print(f"    read {n_reads} times meanwhile and once more: every byte the same", flush=True)

    def end(self):
        while self.all:
            self.all.pop().end()


class Walk:
    """Every step of the page, in an order that lets each find what it needs."""

    def __init__(self, node, build, directory):
        self.node, self.build, self.directory = node, build, directory
        self.page = Page(node.environment, directory)
        self.times = ReadyTimes("shuffle")
        self.keepers = Keepers()

    # ---- looking ----

    def kubectl(self, *arguments):
        return run("kubectl", "-n", "shuffle", *arguments, env=self.node.environment)

    def ovh(self, *arguments):
        return json.loads(self.kubectl("exec", "overhand-master-0", "--", "overhand", *arguments, "--json"))

    def pods(self, role):
        items = json.loads(self.kubectl("get", "pods", "-l", f"app.kubernetes.io/component={role}", "-o", "json"))["items"]
        return {pod["metadata"]["name"]: pod for pod in items}

    def pod(self, name):
        return self.pods(name.split("-")[1]).get(name)

    def restarts(self, name):
        return self.pod(name)["status"]["containerStatuses"][0]["restartCount"]

    def is_ready(self, name):
        pod = self.pod(name)
        conditions = pod["status"].get("conditions", []) if pod and "deletionTimestamp" not in pod["metadata"] else []
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

    def wait_ready(self, name):
        wait_until(lambda: self.is_ready(name), SECONDS, f"{name} ready")

    def state(self, name):
        return next((worker["state"] for worker in self.ovh("workers") if worker["id"] == name), None)

    def keep_at(self, name):
        """Have data at a worker: each shuffle is at a few workers only."""
        for _ in range(30):
            if self.ovh("partitions", "--worker", name):
                return
            self.keepers.all.append(Keeper(self.build, 32))
        raise Failed(f"{name} takes nothing of new shuffles")

    def process_of(self, name):
        """The daemon of a pod: the first process of its container."""
        container = self.pod(name)["status"]["containerStatuses"][0]["containerID"].removeprefix("containerd://")
        return process_of(container)

    def directory_of(self, name):
        """What lies on a worker's disk: paths in the pod."""
        return self.kubectl("exec", name, "--", "find", "/data/disk0/overhand", "-name", "*.ovh").split()

    def helm_upgrade(self, values):
        """The page's upgrade with other values in the file."""
        (self.directory / "my-values.yaml").write_text(VALUES + values)
        return run("helm", "upgrade", "overhand", "deploy/helm/overhand", "-n", "shuffle", "-f", "my-values.yaml",
                   env=self.node.environment, cwd=self.directory)

    # ---- steps ----

    def install(self):
        (self.directory / "my-values.yaml").write_text(VALUES)
        self.page.type("helm lint --strict deploy/helm/overhand -f my-values.yaml")
        self.page.type("helm install overhand deploy/helm/overhand -n shuffle --create-namespace -f my-values.yaml")
        self.page.type("kubectl -n shuffle rollout status statefulset/overhand-worker")
        self.kubectl("rollout", "status", "statefulset/overhand-master")
        print(self.page.type("ovh status"))
        print(self.page.type("ovh bench"))
        log = self.page.type("kubectl -n shuffle logs overhand-worker-3")
        if "using threads" in log:
            raise Failed(f"no io_uring under the chart's profile:\n{log}")

    def scale_out(self):
        self.keepers.all.append(Keeper(self.build, 64))
        self.page.type("helm upgrade overhand deploy/helm/overhand -n shuffle -f my-values.yaml --set worker.replicas=9")
        self.wait_ready(f"overhand-worker-{N_WORKERS}")
        new = f"overhand-worker-{N_WORKERS}"
        wait_until(lambda: self.state(new) == "alive", SECONDS, f"{new} is known")
        self.keep_at(new)
        self.keepers.read()

    def scale_in(self):
        last = f"overhand-worker-{N_WORKERS}"
        self.keepers.read_during(self.page.start("ovh drain overhand-worker-8 --watch"), "drain")
        self.expect_state(last, "drained")
        self.page.type("ovh undrain overhand-worker-8")
        wait_until(lambda: self.state(last) == "alive", SECONDS, f"{last} takes data again")
        self.keep_at(last)
        self.keepers.read_during(self.page.start("ovh drain overhand-worker-8 --watch"), "drain")
        self.page.type("helm upgrade overhand deploy/helm/overhand -n shuffle -f my-values.yaml --set worker.replicas=8")
        wait_until(lambda: self.pod(last) is None, SECONDS, f"{last} is gone")
        self.keepers.read()

    def expect_state(self, name, state):
        if self.state(name) != state:
            raise Failed(f"{name} is {self.state(name)}, not {state}")

    def upgrade(self):
        upgrade = "helm upgrade overhand deploy/helm/overhand -n shuffle -f my-values.yaml --set image.tag=0.2.0"
        self.page.type(f"{upgrade} --set worker.updateStrategy.type=OnDelete")
        self.keepers.read_during(self.page.start("kubectl -n shuffle rollout status statefulset/overhand-master"), "masters")
        self.page.type(upgrade)
        self.keepers.read_during(self.page.start("kubectl -n shuffle rollout status statefulset/overhand-worker"), "upgrade")
        self.expect_images([VERSIONS[1]] * N_WORKERS)

    def images(self):
        pods = self.pods("worker")
        return [pods[name]["spec"]["containers"][0]["image"].rsplit(":", 1)[1] for name in sorted(pods)]

    def expect_images(self, versions):
        if self.images() != versions:
            raise Failed(f"images are {self.images()}, not {versions}")

    def restart(self):
        self.page.type("kubectl -n shuffle rollout restart statefulset/overhand-worker")
        self.keepers.read_during(self.page.start("kubectl -n shuffle rollout status statefulset/overhand-worker"), "restart")

    def choose_moments(self):
        self.helm_upgrade("  updateStrategy: {type: OnDelete}\n")
        self.kubectl("rollout", "status", "statefulset/overhand-master")
        self.expect_images([VERSIONS[1]] * N_WORKERS)
        self.keep_at("overhand-worker-3")
        self.page.type("kubectl -n shuffle delete pod overhand-worker-3")
        self.wait_ready("overhand-worker-3")
        self.expect_images([VERSIONS[1]] * 3 + [VERSIONS[0]])
        self.keepers.read()

    def try_on_some(self):
        for first, versions in ((2, [VERSIONS[1]] * 2 + [VERSIONS[0]] * 2), (0, [VERSIONS[0]] * N_WORKERS)):
            self.helm_upgrade(f"  updateStrategy: {{type: RollingUpdate, rollingUpdate: {{partition: {first}}}}}\n")
            rollout = self.page.start("kubectl -n shuffle rollout status statefulset/overhand-worker")
            self.keepers.read_during(rollout, f"from worker {first} on")
            self.expect_images(versions)

    def crash(self):
        """The worker's process is killed; what it had on its volume is served again. Nobody reads in between: for
        a worker that did not end well readers do not wait."""
        name = "overhand-worker-3"
        self.write_out(name)
        before = self.restarts(name)
        os.kill(self.process_of(name), signal.SIGKILL)
        wait_until(lambda: self.restarts(name) == before + 1 and self.is_ready(name), SECONDS, f"{name} again")
        self.page.type("kubectl -n shuffle logs overhand-worker-3 --previous")
        print(self.page.type("kubectl -n shuffle get pod overhand-worker-3"))
        self.keepers.read()

    def write_out(self, name):
        """What a crash leaves is what is on disk: a restart writes everything."""
        self.keep_at(name)
        self.kubectl("delete", "pod", name)
        self.wait_ready(name)
        self.keepers.read()

    def lose_masters(self):
        """One is killed, one hangs: jobs go on, and the kubelet replaces both."""
        self.hung, self.hung_restarts = "overhand-master-2", self.restarts("overhand-master-2")
        os.kill(self.process_of(self.hung), signal.SIGSTOP)
        before = self.restarts("overhand-master-0")
        os.kill(self.process_of("overhand-master-0"), signal.SIGKILL)
        late = Keeper(self.build, 16)
        late.read()
        self.keepers.read()
        wait_until(lambda: self.restarts("overhand-master-0") == before + 1 and self.is_ready("overhand-master-0"), SECONDS,
                   "overhand-master-0 again")
        late.end()

    def master_lives_again(self):
        wait_until(lambda: self.restarts(self.hung) == self.hung_restarts + 1 and self.is_ready(self.hung), SECONDS,
                   f"{self.hung} was restarted because it hung")
        self.page.type("ovh status")

    def look(self):
        self.page.type("ovh workers")
        print(self.page.type("ovh apps"))
        app = self.ovh("partitions", "--worker", "overhand-worker-3")[0]["uid"]
        self.page.type("ovh shuffles --app APP", APP=app)
        self.page.type("ovh partitions --app APP --shuffle 3", APP=app)
        inside = "kubectl -n shuffle exec overhand-worker-3 -- "
        print(self.inside("overhand fsck /data/disk0/overhand", inside))
        [*_, file] = self.directory_of("overhand-worker-3")
        self.inside("overhand inspect FILE", inside, FILE=file)
        (self.directory / "my-worker.yaml").write_text("memory: {limit: 1GiB}\nmasters: [localhost:9700]\n")
        self.page.environment = {**self.page.environment, "PATH": f"{self.build}:{self.page.environment['PATH']}"}
        self.page.type("overhand config check --as worker my-worker.yaml")

    def inside(self, command, prefix, **names):
        """A command of the page that is meant for the pod."""
        script, typed = self.page.script(command, names)
        return run(*prefix.split(), *typed.split(), env=self.node.environment)

    def maintain(self):
        name = "overhand-worker-3"
        self.keep_at(name)
        self.page.type("ovh exclude overhand-worker-3")
        self.keepers.read_during(self.page.start("ovh drain overhand-worker-3 --watch"), "drain")
        self.expect_state(name, "drained")
        self.page.type("ovh include overhand-worker-3")
        self.page.type("ovh undrain overhand-worker-3")
        wait_until(lambda: self.state(name) == "alive", SECONDS, f"{name} takes data again")
        self.keepers.read()

    def drain_node(self):
        """One worker and one master at a time: with nowhere to go, the second of each stays."""
        drain = self.page.start("kubectl drain NODE --ignore-daemonsets")
        roles = ("worker", "master")
        away = lambda role: [name for name, pod in self.pods(role).items() if pod["status"]["phase"] == "Pending"]
        wait_until(lambda: all(away(role) for role in roles), SECONDS, "a worker and a master are evicted")
        refused = ""
        while not all(f'pods "{role}"' in refused or f"overhand-{role}" in refused for role in roles):
            line = drain.stdout.readline()
            if not line:
                raise Failed(f"the node was drained although its pods have nowhere to go: {refused}")
            refused += line if "disruption budget" in line else ""
        n_away = {role: len(away(role)) for role in roles}
        os.killpg(drain.pid, signal.SIGTERM)  # the shell and what it runs
        drain.wait()
        self.kubectl("uncordon", "node-1")
        if n_away != {"worker": 1, "master": 1}:
            raise Failed(f"the budget let go {n_away}")
        for role in roles:
            self.kubectl("rollout", "status", f"statefulset/overhand-{role}")
        self.keepers.read()

    def replace_disk(self):
        claim = "{.spec.volumeName}"
        volume = lambda: self.kubectl("get", "pvc", "disk0-overhand-worker-3", "-o", f"jsonpath={claim}")
        before = volume()
        self.keep_at("overhand-worker-3")
        self.keepers.read_during(self.page.start("ovh drain overhand-worker-3 --watch"), "drain")
        self.page.type("kubectl -n shuffle delete pvc nvme1-overhand-worker-3 --wait=false")
        self.page.type("kubectl -n shuffle delete pod overhand-worker-3")
        self.wait_ready("overhand-worker-3")
        self.page.type("ovh undrain overhand-worker-3")
        wait_until(lambda: self.state("overhand-worker-3") == "alive", SECONDS, "overhand-worker-3 takes data again")
        if volume() == before:
            raise Failed("the worker is on its old volume")
        self.keepers.read()

    def lose_node(self):
        """A worker whose node is gone for good is freed from its volume, with two copies of the data."""
        two = Keeper(self.build, 64, 2)
        self.page.type("kubectl -n shuffle delete pvc disk0-overhand-worker-3 --wait=false")
        self.kubectl("delete", "pod", "overhand-worker-3", "--grace-period=0", "--force")
        two.read()
        self.wait_ready("overhand-worker-3")
        two.read()
        two.end()

    def delete(self):
        """The only shuffle of one application, and all of another."""
        apps = lambda: {partition["uid"] for partition in self.ovh("partitions")}
        while len(apps()) < 2:
            self.keepers.all.append(Keeper(self.build, 32))
        [one, other, *_] = apps()
        self.page.type("ovh delete APP 3", APP=one)
        self.page.type("ovh delete APP", APP=other)
        wait_until(lambda: not {one, other} & apps(), SECONDS, "nothing of the two is left")
        for keeper in self.keepers.all:
            keeper.process.kill()
            keeper.process.wait()
        self.keepers.all.clear()

    def uninstall(self):
        run("helm", "uninstall", "overhand", "-n", "shuffle", "--wait", env=self.node.environment)
        wait_until(lambda: not json.loads(self.kubectl("get", "pods", "-o", "json"))["items"], SECONDS, "no pod is left")
        claims = json.loads(self.kubectl("get", "pvc", "-o", "json"))["items"]
        if len(claims) != N_WORKERS:
            raise Failed(f"{len(claims)} claims were left")
        rest = self.kubectl("get", "all,cm,sa,pdb,netpol", "-l", "app.kubernetes.io/instance=overhand", "-o", "name")
        if rest:
            raise Failed(f"these were left: {rest}")
        self.kubectl("delete", "pvc", "--all")

    def spot(self):
        """Disks that go with the pod: each worker that is stopped drains, whoever stops it."""
        (self.directory / "my-values.yaml").write_text(SPOT_VALUES)
        self.page.type("helm install overhand deploy/helm/overhand -n shuffle --create-namespace -f my-values.yaml")
        self.page.type("kubectl -n shuffle rollout status statefulset/overhand-worker")
        self.kubectl("rollout", "status", "statefulset/overhand-master")
        self.keep_at(f"overhand-worker-{N_WORKERS - 1}")
        run("helm", "upgrade", "overhand", "deploy/helm/overhand", "-n", "shuffle", "-f", "my-values.yaml", "--set",
            f"worker.replicas={N_WORKERS - 1}", env=self.node.environment, cwd=self.directory)
        wait_until(lambda: len(self.pods("worker")) == N_WORKERS - 1, SECONDS, "a worker is gone")
        self.keepers.read()
        self.page.type("kubectl -n shuffle rollout restart statefulset/overhand-worker")
        self.keepers.read_during(self.page.start("kubectl -n shuffle rollout status statefulset/overhand-worker"), "restart")
        self.keepers.end()
        run("helm", "uninstall", "overhand", "-n", "shuffle", "--wait", env=self.node.environment)

    # ---- all of it ----

    STEPS = (install, scale_out, scale_in, upgrade, restart, choose_moments, try_on_some, lose_masters, crash, look,
             maintain, master_lives_again, drain_node, replace_disk, lose_node, delete, uninstall, spot)

    def walk(self):
        for step in self.STEPS:
            print(f"{step.__name__}:", flush=True)
            step(self)
        if self.page.left:
            raise Failed("docs/OPERATIONS.md has commands that were not run:\n  " + "\n  ".join(sorted(self.page.left)))
        print(f"all {len(self.page.commands)} commands of docs/OPERATIONS.md were run")

    def tell_ready_times(self):
        """From the start of the container's process until the API server says ready."""
        for role in ("master", "worker"):
            times = sorted(took for (name, _), took in self.times.took.items() if f"-{role}-" in name)
            if times:
                print(f"{role}: ready {times[0]:.2f} s (least), {times[len(times) // 2]:.2f} s (median), {times[-1]:.2f} s"
                      f" (most) after the start of its process, {len(times)} starts")

    def tell_state(self):
        """Whatever may show why a step failed."""
        for command in (("get", "pods,pvc", "-o", "wide"), ("get", "events", "--sort-by=.lastTimestamp")):
            print(subprocess.run(["kubectl", "-n", "shuffle", *command], capture_output=True, text=True, check=False,
                                 env=self.node.environment).stdout[-6000:])
        for role in ("master", "worker"):
            print(subprocess.run(["kubectl", "-n", "shuffle", "logs", "--prefix", "--tail=15", "-l",
                                  f"app.kubernetes.io/component={role}"], capture_output=True, text=True, check=False,
                                 env=self.node.environment).stdout)


def make_image(build, scratch, node):
    run(ROOT / "docker/root.sh", build, scratch / "image")
    node.import_image(scratch / "image", "localhost/pause:1", *(f"localhost/overhand:{version}" for version in VERSIONS))


def make_volumes(scratch, node):
    text = VOLUME_CLASS
    for number in range(N_VOLUMES):
        path = scratch / "volumes" / str(number)
        path.mkdir()
        text += VOLUME.format(number=number, path=path)
    run("kubectl", "apply", "-f", node.write("volumes.yaml", text), env=node.environment)


def main():
    scratch, build = Path(os.environ["SCRATCH"]), Path(os.environ["BUILD"])
    node = Node(os.environ["KUBERNETES"], os.environ["HELM"], scratch, os.environ["GROUP"])
    walk = None
    try:
        began = time.monotonic()
        node.up()
        make_image(build, scratch, node)
        make_volumes(scratch, node)
        print(f"Kubernetes is up ({time.monotonic() - began:.0f} s)", flush=True)
        directory = scratch / "operator"
        (directory / "deploy").symlink_to(ROOT / "deploy")
        walk = Walk(node, build, directory)
        walk.walk()
        walk.tell_ready_times()
    except Failed as failure:
        print(f"FAILED: {failure}", flush=True)
        if walk:
            walk.tell_state()
        return 1
    finally:
        node.down()
    return 0


sys.exit(main())
