"""A Kubernetes of one node: etcd, the control plane, containerd, a kubelet and CoreDNS, in the namespaces of run.sh.

Steps, in order: places of our own for what these programs write, a bridge with the node's address, the programs one
after the other, each when the one before answers, images, a volume class. Anything that does not come up in its time
raises Failed, with the end of its log.

There is no kube-proxy: headless services are all that the chart has. Network policies are objects without an effect,
because the bridge plugin does not know them.
"""

import hashlib
import io
import json
import os
import signal
import ssl
import subprocess
import tarfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

ADDRESS = "10.244.0.1"  # of the node on its bridge, and of everything that listens there
API = f"https://{ADDRESS}:6443"
TOKEN = "operations"  # the one user's, who may do everything; nobody else reaches this network
NODE = "node-1"
UNVERIFIED = ssl._create_unverified_context()

KUBECONFIG = f"""\
apiVersion: v1
kind: Config
clusters: [{{name: test, cluster: {{server: "{API}", insecure-skip-tls-verify: true}}}}]
users: [{{name: test, user: {{token: {TOKEN}}}}}]
contexts: [{{name: test, context: {{cluster: test, user: test}}}}]
current-context: test
"""

CONTAINERD = """\
version = 2
root = "{scratch}/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt"]
[grpc]
address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "localhost/pause:1"  # holds a pod's network: any that stays
disable_apparmor = true
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{scratch}/cni"
"""

CNI = {
    "cniVersion": "0.4.0",
    "name": "test",
    "plugins": [
        {
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": True,
            "hairpinMode": True,
            "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.244.0.0/24", "gateway": ADDRESS}]]},
        }
    ],
}

KUBELET = """\
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: {address}
authentication: {{anonymous: {{enabled: true}}, webhook: {{enabled: false}}}}
authorization: {{mode: AlwaysAllow}}
cgroupDriver: cgroupfs
cgroupRoot: /{group}
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
clusterDNS: [{address}]
clusterDomain: cluster.local
resolvConf: ""
failSwapOn: false
failCgroupV1: false
evictionHard: {{memory.available: 0%, nodefs.available: 0%, nodefs.inodesFree: 0%, imagefs.available: 0%}}
imageGCHighThresholdPercent: 100
volumePluginDir: {scratch}/plugins
"""

DNS = """\
.:53 {{
    errors
    ready {address}:8181
    kubernetes cluster.local {{
        kubeconfig {scratch}/kubeconfig
        ttl 1
    }}
}}
"""

# Numbers of the whole machine that the kubelet sets to its taste: in our namespaces it writes to files.
KERNEL_NUMBERS = {"vm/overcommit_memory": 1, "kernel/panic": 10, "kernel/panic_on_oops": 1,
                  "kernel/keys/root_maxkeys": 1000000, "kernel/keys/root_maxbytes": 25000000}


class Failed(Exception):
    """Something is not as it must be."""


def run(*command, **options):
    """Run a command to its end; its output."""
    result = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, **options)
    if result.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))}: {result.returncode}\n{result.stdout}{result.stderr}")
    return result.stdout


def wait_until(condition, seconds, what):
    """Ask until the condition gives something, and return that."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise Failed(f"not within {seconds} s: {what}")
        time.sleep(0.05)


def answers(url):
    """Does anything answer there with 200?"""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {TOKEN}"})
    try:
        with urllib.request.urlopen(request, timeout=5, context=UNVERIFIED) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def image_archive(root, names, path):
    """A directory as an image of one layer that does nothing by itself, in the format of `docker save`."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        tar.add(root, arcname=".")
    layer = layer.getvalue()
    config = {
        "architecture": "amd64" if os.uname().machine == "x86_64" else "arm64",
        "os": "linux",
        "config": {"Env": ["PATH=/usr/bin"], "User": "10001:10001", "Cmd": ["sleep", "infinity"]},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]},
    }
    manifest = [{"Config": "config.json", "RepoTags": names, "Layers": ["layer.tar"]}]
    files = {"layer.tar": layer, "config.json": json.dumps(config).encode(), "manifest.json": json.dumps(manifest).encode()}
    with tarfile.open(path, "w") as tar:
        for file, data in files.items():
            entry = tarfile.TarInfo(file)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))


class Node:
    """The programs of the cluster and what they need."""

    def __init__(self, programs, helm, scratch, group):
        self.scratch, self.group = scratch, group
        self.processes = []
        self.environment = {**os.environ, "KUBECONFIG": str(self.scratch / "kubeconfig"),
                            "PATH": f"{programs}:{Path(helm).parent}:{os.environ['PATH']}"}

    # ---- set-up ----

    def write(self, name, text):
        path = self.scratch / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def make_places(self):
        """What these programs write to /var and /run stays in our namespaces."""
        for name in ("var", "work", "kubelet", "volumes", "operator"):
            (self.scratch / name).mkdir()
        layers = f"lowerdir=/var,upperdir={self.scratch}/var,workdir={self.scratch}/work"
        run("mount", "-t", "overlay", "-o", layers, "overlay", "/var")
        run("mount", "-t", "tmpfs", "tmpfs", "/run")
        os.makedirs("/var/lib/kubelet", exist_ok=True)
        run("mount", "--bind", self.scratch / "kubelet", "/var/lib/kubelet")
        run("mount", "--make-rshared", "/")
        for name, number in KERNEL_NUMBERS.items():
            file = self.write("sys/" + name, f"{number}\n")
            run("mount", "--bind", file, f"/proc/sys/{name}")

    def make_network(self):
        run("hostname", NODE)
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "cni0", "type", "bridge")
        run("ip", "address", "add", f"{ADDRESS}/24", "dev", "cni0")
        run("ip", "link", "set", "cni0", "up")

    def write_configurations(self):
        places = {"scratch": self.scratch, "address": ADDRESS, "group": self.group}
        self.write("kubeconfig", KUBECONFIG).chmod(0o600)
        self.write("containerd.toml", CONTAINERD.format(**places))
        self.write("cni/10-test.conflist", json.dumps(CNI))
        self.write("kubelet.yaml", KUBELET.format(**places))
        self.write("Corefile", DNS.format(**places))
        run("mount", "--bind", self.write("resolv.conf", f"nameserver {ADDRESS}\n"), "/etc/resolv.conf")
        self.write("tokens.csv", f"{TOKEN},operator,operator,system:masters\n")
        run("openssl", "genrsa", "-out", self.scratch / "accounts.key", "2048")

    # ---- the programs ----

    def start(self, program, *arguments):
        log = open(self.scratch / f"{Path(program).name}.log", "w", encoding="utf-8")
        process = subprocess.Popen([program, *map(str, arguments)], stdout=log, stderr=subprocess.STDOUT,
                                   stdin=subprocess.DEVNULL, env=self.environment)
        self.processes.append((program, process))
        return process

    def wait(self, program, condition, seconds=180):
        """Until the program last started is there."""
        process = self.processes[-1][1]

        def there():
            if process.poll() is not None:
                raise Failed(f"{program} ended with {process.returncode}: {self.tail(program)}")
            return condition()

        try:
            wait_until(there, seconds, program)
        except Failed as failure:
            raise Failed(f"{failure}\n{self.tail(program)}") from None

    def tail(self, program, n_lines=30):
        lines = (self.scratch / f"{program}.log").read_text(errors="replace").splitlines()
        return "\n".join(lines[-n_lines:])

    def start_control_plane(self):
        scratch, kubeconfig = self.scratch, self.scratch / "kubeconfig"
        self.start("etcd", "--data-dir", "/run/etcd", "--listen-client-urls", "http://127.0.0.1:2379",
                   "--advertise-client-urls", "http://127.0.0.1:2379", "--listen-peer-urls", "http://127.0.0.1:2380")
        self.wait("etcd", lambda: answers("http://127.0.0.1:2379/health"))
        self.start("kube-apiserver", "--etcd-servers", "http://127.0.0.1:2379", "--advertise-address", ADDRESS,
                   "--cert-dir", scratch / "certificates", "--token-auth-file", scratch / "tokens.csv",
                   "--authorization-mode", "RBAC", "--service-cluster-ip-range", "10.96.0.0/24",
                   "--service-account-issuer", "https://kubernetes.default.svc",
                   "--service-account-key-file", scratch / "accounts.key",
                   "--service-account-signing-key-file", scratch / "accounts.key",
                   "--kubelet-preferred-address-types", "InternalIP", "--endpoint-reconciler-type", "none")
        self.wait("kube-apiserver", lambda: answers(f"{API}/readyz"))
        self.start("kube-controller-manager", "--kubeconfig", kubeconfig, "--leader-elect=false",
                   "--cert-dir", scratch / "manager", "--service-account-private-key-file", scratch / "accounts.key")
        self.start("kube-scheduler", "--kubeconfig", kubeconfig, "--leader-elect=false", "--cert-dir", scratch / "scheduler")
        self.start("coredns", "-conf", scratch / "Corefile")
        self.wait("coredns", lambda: answers(f"http://{ADDRESS}:8181/ready"))

    def start_containerd(self):
        self.start("containerd", "--config", self.scratch / "containerd.toml")
        self.wait("containerd", lambda: subprocess.run(
            ["ctr", "version"], capture_output=True, check=False, timeout=10).returncode == 0)

    def start_kubelet(self):
        self.start("kubelet", "--config", self.scratch / "kubelet.yaml", "--kubeconfig", self.scratch / "kubeconfig",
                   "--hostname-override", NODE, "--node-ip", ADDRESS)
        ready = "{.status.conditions[?(@.type=='Ready')].status}"

        def is_ready():
            result = subprocess.run(["kubectl", "get", "node", NODE, "-o", f"jsonpath={ready}"], env=self.environment,
                                    capture_output=True, text=True, check=False)
            return result.stdout == "True"

        self.wait("kubelet", is_ready)

    def import_image(self, root, *names):
        archive = self.scratch / "image.tar"
        image_archive(root, names, archive)
        run("ctr", "-n", "k8s.io", "images", "import", archive)
        archive.unlink()

    def up(self):
        self.make_places()
        self.make_network()
        self.write_configurations()
        self.start_containerd()
        self.start_control_plane()
        self.start_kubelet()

    def down(self):
        """Ask all to end, the last started first. Whatever stays ends with the namespace."""
        for _, process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def process_of(container):
    """The daemon that is the first process of a container, or None."""
    for directory in Path("/proc").iterdir():
        try:
            if directory.name.isdigit() and container in (directory / "cgroup").read_text():
                if (directory / "comm").read_text().startswith("overhand-"):
                    return int(directory.name)
        except OSError:
            pass  # it has ended
    return None


def age_of(process):
    """For how many seconds a process has run."""
    after_name = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(after_name[19]) / os.sysconf("SC_CLK_TCK")


class ReadyTimes:
    """How long after the start of its process each pod of a namespace became ready, as the API server tells it."""

    def __init__(self, namespace):
        self.url = f"{API}/api/v1/namespaces/{namespace}/pods?watch=1"
        self.took = {}  # (name, id of the container): seconds
        threading.Thread(target=self.watch, daemon=True).start()

    def watch(self):
        request = urllib.request.Request(self.url, headers={"Authorization": f"Bearer {TOKEN}"})
        while True:
            try:
                with urllib.request.urlopen(request, context=UNVERIFIED, timeout=600) as events:
                    for line in events:
                        self.on_event(json.loads(line)["object"])
            except (urllib.error.URLError, OSError, ValueError, KeyError):
                time.sleep(0.2)  # the server ends a watch now and then

    def on_event(self, pod):
        status = pod["status"]
        if not any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", [])):
            return
        for container in status["containerStatuses"]:
            name = (pod["metadata"]["name"], container["containerID"])
            process = process_of(container["containerID"].removeprefix("containerd://"))
            if name not in self.took and process:
                self.took[name] = age_of(process)
