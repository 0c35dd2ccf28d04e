"""The Helm chart, rendered with each of its sets of values.

Manifests are checked against the schemas of the oldest and the newest Kubernetes, the daemons are asked what they
make of their configuration and environment, and what must fit together is compared: probes and ports, budgets and
pods, grace periods and time limits.

Run by scripts/check.sh: HELM names helm, BUILD the directory with the programs, SCRATCH one to write to, and
PYTHONPATH holds kubernetes-validate, with its schemas.
"""

import copy
import functools
import json
import os
import re
import subprocess
import sys
import unittest
from pathlib import Path

import kubernetes_validate
import yaml
from kubernetes_validate import utils

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy/helm/overhand"
EXAMPLES = ROOT / "deploy/examples"
KUBERNETES = ("1.27", "1.37")
NODE_LABELS = {"topology.kubernetes.io/zone": "zone-of-the-node", "example.com/rack": "rack-7"}

# The kinds of the Prometheus operator: what we use of them.
OPERATOR_KINDS = {
    "PodMonitor": {"selector", "podMetricsEndpoints"},
    "ServiceMonitor": {"selector", "endpoints"},
    "PrometheusRule": {"groups"},
}
ENDPOINT_KEYS = {"port", "path", "interval", "scrapeTimeout", "relabelings"}

# One schema is read once, not once for each manifest.
utils.schema_contents = functools.lru_cache(maxsize=None)(utils.schema_contents)


def helm(*arguments):
    return subprocess.run([os.environ["HELM"], *map(str, arguments)], capture_output=True, text=True, check=False)


@functools.lru_cache(maxsize=None)
def render_text(values, *options):
    result = helm("template", "overhand", CHART, "--kube-version", "1.27.0", "--namespace", "shuffle", "-f", values, *options)
    if result.returncode != 0:
        raise AssertionError(f"{values}: {result.stderr}")
    return result.stdout


def render(values, *options):
    return [manifest for manifest in yaml.safe_load_all(render_text(values, *options)) if manifest]


def value_sets():
    return [CHART / "values.yaml", *sorted((CHART / "ci").glob("*.yaml")), *sorted(EXAMPLES.glob("values-*.yaml"))]


def of_kind(manifests, kind):
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def stateful_sets(manifests):
    """Of each role there is: (role, manifest)."""
    return [(m["metadata"]["labels"]["app.kubernetes.io/component"], m) for m in of_kind(manifests, "StatefulSet")]


def pod_of(stateful_set):
    return stateful_set["spec"]["template"]


def container_of(stateful_set):
    return pod_of(stateful_set)["spec"]["containers"][0]


def selects(selector, labels):
    return bool(selector) and all(labels.get(key) == value for key, value in selector.items())


def environment_of(stateful_set, labels):
    """The variables that the kubelet gives pod 0 on a node with these labels."""
    name = stateful_set["metadata"]["name"] + "-0"
    fields = {"metadata.name": name, "metadata.namespace": "shuffle"}
    environment = {}
    for entry in container_of(stateful_set)["env"]:
        if "valueFrom" in entry:
            path = entry["valueFrom"]["fieldRef"]["fieldPath"]
            label = re.fullmatch(r"metadata\.labels\['([^']+)'\]", path)
            environment[entry["name"]] = labels.get(label[1], "") if label else fields[path]
        else:
            expand = lambda match: environment[match[1]]
            environment[entry["name"]] = re.sub(r"\$\((\w+)\)", expand, entry["value"])
    return environment


def configuration_file(manifests, role):
    """The daemon's file in the ConfigMap, written to the scratch directory."""
    name = f"overhand-{role}.yaml"
    [text] = [m["data"][name] for m in of_kind(manifests, "ConfigMap") if name in m["data"]]
    path = Path(os.environ["SCRATCH"]) / name
    path.write_text(text)
    return path


def configuration(manifests, stateful_set, role, labels=NODE_LABELS):
    """What the daemon of pod 0 makes of its file and its environment: {key: value}."""
    command = container_of(stateful_set)["command"]
    path = configuration_file(manifests, role)
    assert path.name == Path(command[2]).name
    result = subprocess.run(
        [Path(os.environ["BUILD"]) / command[0], "--config", path, "--print-config"],
        env=environment_of(stateful_set, labels), capture_output=True, text=True, check=False)
    if result.returncode != 0 or result.stderr:
        raise AssertionError(f"{path.name}: {result.stderr}\n{path.read_text()}")
    lines = (re.fullmatch(r"(\S+): (.*)  # .*", line) for line in result.stdout.splitlines())
    return {line[1]: line[2].strip("'") for line in lines}


def daemons(manifests):
    """Of each role there is: (role, StatefulSet, configuration)."""
    return [(role, s, configuration(manifests, s, role)) for role, s in stateful_sets(manifests)]


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)(s|m|h)", text).groups()
    return int(number) * {"s": 1, "m": 60, "h": 3600}[unit]


def for_each_set(test):
    """Run the test with the manifests of each set of values."""

    @functools.wraps(test)
    def run(self):
        for values in value_sets():
            with self.subTest(values=str(values.relative_to(ROOT))):
                test(self, render(values))

    return run


class EachSetOfValues(unittest.TestCase):
    def test_passes_helms_strict_lint(self):
        for values in value_sets():
            result = helm("lint", "--strict", "--quiet", "-f", values, CHART)
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    @for_each_set
    def test_is_what_kubernetes_takes(self, manifests):
        for manifest in manifests:
            if manifest["kind"] in OPERATOR_KINDS:
                continue
            for version in KUBERNETES:
                kubernetes_validate.validate(copy.deepcopy(manifest), version, strict=True)

    @for_each_set
    def test_is_what_the_prometheus_operator_takes(self, manifests):
        for manifest in manifests:
            if manifest["apiVersion"] != "monitoring.coreos.com/v1":
                continue
            spec = manifest["spec"]
            self.assertEqual(set(spec), OPERATOR_KINDS[manifest["kind"]])
            for endpoint in spec.get("podMetricsEndpoints", []) + spec.get("endpoints", []):
                self.assertLessEqual(set(endpoint), ENDPOINT_KEYS)

    @for_each_set
    def test_names_each_object_once_and_within_the_limits_of_names(self, manifests):
        names = [(m["kind"], m["metadata"]["name"]) for m in manifests]
        self.assertEqual(len(names), len(set(names)))
        for _, stateful_set in stateful_sets(manifests):
            self.assertLessEqual(len(stateful_set["metadata"]["name"] + "-9999"), 63)

    @for_each_set
    def test_gives_each_daemon_a_configuration_that_it_takes(self, manifests):
        for role, stateful_set, conf in daemons(manifests):
            ports = {port["name"]: port["containerPort"] for port in container_of(stateful_set)["ports"]}
            self.assertEqual(ports, {"rpc": int(conf["listen.port"]), "http": int(conf["http.port"])})
            self.assertEqual(conf["http.enabled"], "on")

    @for_each_set
    def test_passes_the_check_of_configurations(self, manifests):
        for role, _ in stateful_sets(manifests):
            path = configuration_file(manifests, role)
            command = [Path(os.environ["BUILD"]) / "overhand", "config", "check", "--as", role, path]
            result = subprocess.run(command, capture_output=True, text=True, check=False)
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    @for_each_set
    def test_tells_workers_who_and_where_they_are(self, manifests):
        for role, stateful_set, conf in daemons(manifests):
            if role != "worker":
                continue
            name = stateful_set["metadata"]["name"]
            self.assertEqual(conf["id"], f"{name}-0")
            host = f"{name}-0.{stateful_set['spec']['serviceName']}.shuffle.svc.cluster.local"
            self.assertEqual(conf["advertise.host"], host)
            mounts = [m["mountPath"] for m in container_of(stateful_set)["volumeMounts"] if not m.get("readOnly")]
            directories = conf["disk.directories"].split(",")
            self.assertEqual([str(Path(directory).parent) for directory in directories], mounts)

    @for_each_set
    def test_names_masters_that_the_services_have(self, manifests):
        roles = dict(stateful_sets(manifests))
        conf = configuration(manifests, roles["worker"], "worker")
        if "master" not in roles:
            return
        master = roles["master"]
        name, service = master["metadata"]["name"], master["spec"]["serviceName"]
        port = container_of(master)["ports"][0]["containerPort"]
        self.assertEqual(conf["masters"].split(","), [
            f"{name}-{i}.{service}.shuffle.svc.cluster.local:{port}" for i in range(master["spec"]["replicas"])])
        self.assertEqual(environment_of(master, {})["OVERHAND_MASTERS"], conf["masters"])

    @for_each_set
    def test_gives_pods_more_time_than_daemons_take(self, manifests):
        for role, stateful_set, conf in daemons(manifests):
            grace = pod_of(stateful_set)["spec"]["terminationGracePeriodSeconds"]
            if role == "worker":
                self.assertGreaterEqual(grace, seconds(conf["shutdown.timeout"]) + 10)
            self.assertNotIn("lifecycle", container_of(stateful_set))

    @for_each_set
    def test_drains_workers_whose_disks_go_with_the_pod(self, manifests):
        for role, stateful_set, conf in daemons(manifests):
            volumes = pod_of(stateful_set)["spec"]["volumes"]
            if role == "worker" and any("emptyDir" in volume or "ephemeral" in volume for volume in volumes):
                self.assertEqual(conf["shutdown.drain"], "on")

    @for_each_set
    def test_probes_ports_that_the_pod_has(self, manifests):
        for _, stateful_set in stateful_sets(manifests):
            container = container_of(stateful_set)
            ports = [port["name"] for port in container["ports"]]
            for probe, path in (("startup", "/healthz"), ("liveness", "/healthz"), ("readiness", "/readyz")):
                get = container[probe + "Probe"]["httpGet"]
                self.assertEqual(get["path"], path)
                self.assertIn(get["port"], ports)

    @for_each_set
    def test_selects_with_budgets_services_and_spreads_the_pods_that_are_meant(self, manifests):
        labels = {role: pod_of(s)["metadata"]["labels"] for role, s in stateful_sets(manifests)}
        self.assertEqual(len(of_kind(manifests, "PodDisruptionBudget")), len(labels))
        for manifest in manifests:
            if manifest["kind"] not in ("PodDisruptionBudget", "Service", "StatefulSet"):
                continue
            role = manifest["metadata"]["labels"]["app.kubernetes.io/component"]
            selector = manifest["spec"]["selector"]
            selectors = [selector.get("matchLabels", selector)]
            if manifest["kind"] == "StatefulSet":
                spreads = pod_of(manifest)["spec"].get("topologySpreadConstraints", [])
                selectors += [spread["labelSelector"]["matchLabels"] for spread in spreads]
            for selector in selectors:
                self.assertEqual([r for r in labels if selects(selector, labels[r])], [role])

    @for_each_set
    def test_monitors_the_pods_or_services_there_are(self, manifests):
        for manifest in of_kind(manifests, "PodMonitor") + of_kind(manifests, "ServiceMonitor"):
            selector = manifest["spec"]["selector"]
            self.assertEqual(selector["matchExpressions"][0]["values"], ["master", "worker"])
            if manifest["kind"] == "PodMonitor":
                targets = [pod_of(s)["metadata"]["labels"] for _, s in stateful_sets(manifests)]
            else:
                targets = [service["metadata"]["labels"] for service in of_kind(manifests, "Service")]
            self.assertTrue(all(selects(selector["matchLabels"], labels) for labels in targets))

    @for_each_set
    def test_lets_through_what_the_ports_are_for(self, manifests):
        for policy in of_kind(manifests, "NetworkPolicy"):
            role = policy["metadata"]["labels"]["app.kubernetes.io/component"]
            container = container_of(dict(stateful_sets(manifests))[role])
            opened = {port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]}
            self.assertEqual(opened, {port["name"] for port in container["ports"]})
            # Masters and workers of any release reach each other.
            ours = {"matchLabels": {"app.kubernetes.io/name": "overhand"}}
            self.assertEqual(policy["spec"]["ingress"][0]["from"][0]["podSelector"], ours)
            if "Egress" in policy["spec"]["policyTypes"]:
                self.assertEqual(policy["spec"]["egress"][0]["to"][0]["podSelector"], ours)

    @for_each_set
    def test_runs_daemons_without_rights_on_a_read_only_root(self, manifests):
        for _, stateful_set in stateful_sets(manifests):
            pod, container = pod_of(stateful_set)["spec"], container_of(stateful_set)
            self.assertGreater(pod["securityContext"]["runAsUser"], 0)
            self.assertIn(pod["securityContext"]["seccompProfile"]["type"], ("RuntimeDefault", "Localhost"))
            self.assertIs(pod["automountServiceAccountToken"], False)
            self.assertIs(container["securityContext"]["readOnlyRootFilesystem"], True)
            self.assertIs(container["securityContext"]["allowPrivilegeEscalation"], False)
            self.assertEqual(container["securityContext"]["capabilities"], {"drop": ["ALL"]})
            self.assertIn("memory", container["resources"]["limits"])


class Chart(unittest.TestCase):
    def render(self, *settings):
        options = [option for setting in settings for option in ("--set-json", setting)]
        return render(CHART / "values.yaml", *options)

    def refuse(self, *settings):
        options = [option for setting in settings for option in ("--set-json", setting)]
        with self.assertRaises(AssertionError) as caught:
            render_text(CHART / "values.yaml", *options)
        return str(caught.exception)

    def worker(self, *settings, labels=NODE_LABELS):
        manifests = self.render(*settings)
        stateful_set = dict(stateful_sets(manifests))["worker"]
        return stateful_set, configuration(manifests, stateful_set, "worker", labels)

    def test_takes_the_zone_from_the_pods_label_or_from_the_value(self):
        self.assertEqual(self.worker()[1]["zone"], "zone-of-the-node")
        self.assertEqual(self.worker(labels={})[1]["zone"], "")
        self.assertEqual(self.worker('worker.zone={"label":"example.com/rack"}')[1]["zone"], "rack-7")
        self.assertEqual(self.worker('worker.zone.value="b"')[1]["zone"], "b")
        self.assertEqual(self.worker('worker.zone.label=""')[1]["zone"], "")

    def test_drains_as_told(self):
        claim = 'worker.disks=[{"name":"a","claim":{"size":"1Gi"}}]'
        empty_dir = 'worker.disks=[{"name":"a","claim":{"size":"1Gi"}},{"name":"b","emptyDir":{}}]'
        scaling = "autoscaling.enabled=true"
        cases = [((claim,), "off"), ((empty_dir,), "on"), ((claim, scaling), "on"),
                 ((claim, 'worker.drainOnStop="always"'), "on"), ((empty_dir, 'worker.drainOnStop="never"'), "off")]
        for settings, drain in cases:
            self.assertEqual(self.worker(*settings)[1]["shutdown.drain"], drain, settings)
        self.assertIn("must not be never", self.refuse(scaling, 'worker.drainOnStop="never"'))

    def test_gives_each_worker_a_directory_of_its_own_on_a_nodes_directory(self):
        _, conf = self.worker('worker.disks=[{"name":"a","hostPath":"/mnt/a"},{"name":"b","claim":{"size":"1Gi"}}]')
        self.assertEqual(conf["disk.directories"], "/data/a/overhand-worker-0,/data/b/overhand")

    def test_keeps_what_the_user_configures_and_what_the_chart_decides(self):
        _, conf = self.worker('worker.config={"disk":{"reserve":"5GiB"},"listen":{"port":1},"lease":{"max":"2h"}}')
        self.assertEqual((conf["disk.reserve"], conf["lease.max"], conf["listen.port"]), ("5GiB", "2h", "9701"))

    def test_lets_masters_wait_until_workers_have_found_their_new_addresses(self):
        for settings, ready_after in (((), "12s"), (('master.config={"ready_after":"20s"}',), "20s")):
            manifests = self.render(*settings)
            conf = configuration(manifests, dict(stateful_sets(manifests))["master"], "master")
            self.assertEqual(conf["ready_after"], ready_after)

    def test_leaves_the_number_of_workers_to_the_autoscaler(self):
        manifests = self.render("autoscaling.enabled=true")
        [scaler] = of_kind(manifests, "HorizontalPodAutoscaler")
        worker = dict(stateful_sets(manifests))["worker"]
        self.assertEqual(scaler["spec"]["scaleTargetRef"]["name"], worker["metadata"]["name"])
        self.assertNotIn("replicas", worker["spec"])
        self.assertEqual([p["value"] for p in scaler["spec"]["behavior"]["scaleDown"]["policies"]], [1])
        targets = {m["pods"]["metric"]["name"]: m["pods"]["target"]["averageValue"] for m in scaler["spec"]["metrics"]}
        self.assertEqual(targets, {"overhand_worker_memory_used_ratio": "700m", "overhand_worker_disk_used_ratio": "600m"})

    def test_installs_the_profile_that_it_ships_where_the_workers_look_for_it(self):
        manifests = render(CHART / "ci/several-disks.yaml")
        [daemon_set] = of_kind(manifests, "DaemonSet")
        spec = daemon_set["spec"]["template"]["spec"]
        source, target = spec["initContainers"][0]["command"][-1].split()[-2:]
        [config_map] = [m for m in of_kind(manifests, "ConfigMap") if Path(source).name in m["data"]]
        self.assertEqual(json.loads(config_map["data"][Path(source).name]),
                         json.loads((CHART / "files/seccomp-worker.json").read_text()))
        mounts = {m["mountPath"]: m["name"] for m in spec["initContainers"][0]["volumeMounts"]}
        volumes = {v["name"]: v for v in spec["volumes"]}
        self.assertEqual(volumes[mounts["/seccomp"]]["hostPath"]["path"], "/var/lib/kubelet/seccomp")
        pod = pod_of(dict(stateful_sets(manifests))["worker"])["spec"]
        self.assertEqual("/seccomp/" + pod["securityContext"]["seccompProfile"]["localhostProfile"], target)
        self.assertEqual((spec["nodeSelector"], spec["tolerations"]), (pod["nodeSelector"], pod["tolerations"]))

    def test_allows_io_uring_and_no_way_out_in_its_profile(self):
        profile = json.loads((CHART / "files/seccomp-worker.json").read_text())
        allowed = {name for rule in profile["syscalls"] for name in rule["names"]}
        self.assertEqual(profile["defaultAction"], "SCMP_ACT_ERRNO")
        self.assertLessEqual({"io_uring_setup", "io_uring_enter", "io_uring_register"}, allowed)
        self.assertFalse(allowed & {"mount", "unshare", "setns", "ptrace", "bpf", "kexec_load", "init_module", "clone3",
                                    "keyctl", "perf_event_open", "process_vm_readv", "userfaultfd", "open_by_handle_at"})

    def test_carries_the_alert_rules_as_they_are(self):
        [rule] = of_kind(render(CHART / "ci/several-disks.yaml"), "PrometheusRule")
        self.assertEqual(rule["spec"], yaml.safe_load((CHART / "files/overhand.rules.yaml").read_text()))
        self.assertTrue(rule["spec"]["groups"])

    def test_starts_no_masters_beside_those_of_another_release(self):
        manifests = render(CHART / "ci/second-pool.yaml")
        self.assertEqual([role for role, _ in stateful_sets(manifests)], ["worker"])
        [config_map] = of_kind(manifests, "ConfigMap")
        self.assertEqual(list(config_map["data"]), ["overhand-worker.yaml"])

    def test_refuses_values_that_mean_nothing(self):
        disk = '{"name":"a","claim":{"size":"1Gi"}}'
        for setting in ('worker.disks=[]', 'worker.disks=[{"name":"a"}]', 'worker.disks=[{"name":"config","emptyDir":{}}]',
                        'worker.disks=[{"name":"a","hostPath":"mnt"}]', 'worker.disks=[{"name":"a","claim":{}}]',
                        'worker.disks=[{"name":"a","claim":{"size":"1Gi"},"emptyDir":{}}]', f'worker.disks=[{disk},{disk}]',
                        'worker.shutdownSeconds=0', 'worker.drainOnStop="sometimes"', 'worker.unknown=1', 'master.replicas=0',
                        'worker.seccompProfile={"type":"Localhost"}', 'worker.spread.zone="Somehow"', 'externalMasters=["m1"]',
                        'monitoring.scrape="push"', 'monitoring.interval="often"', 'master.httpPort=80'):
            with self.subTest(setting=setting):
                self.refuse(setting)


class Examples(unittest.TestCase):
    """What is shown for Spark."""

    def configurations(self):
        """Of each example: {key: value} of Spark's configuration."""
        application = yaml.safe_load((EXAMPLES / "spark-application.yaml").read_text())
        yield application["spec"]["sparkConf"]
        submit = (EXAMPLES / "spark-submit.sh").read_text()
        yield dict(re.findall(r'--conf "?([\w.]+)=([^\s"]+)', submit))
        lines = (EXAMPLES / "spark-spot.conf").read_text().splitlines()
        yield dict(line.split(maxsplit=1) for line in lines if line and not line.startswith("#"))

    def test_sets_keys_that_the_plugin_knows(self):
        known = re.findall(r"^\| `(spark\.overhand\.[\w.]+)`", (ROOT / "docs/SPARK.md").read_text(), re.MULTILINE)
        for conf in self.configurations():
            self.assertIn("spark.overhand.masters", conf)
            self.assertEqual([key for key in conf if key.startswith("spark.overhand.") and key not in known], [])
            self.assertEqual(conf["spark.shuffle.manager"], "org.overhand.spark.OverhandShuffleManager")

    def test_names_the_masters_of_the_chart(self):
        manifests = render(CHART / "values.yaml")
        masters = environment_of(dict(stateful_sets(manifests))["master"], {})["OVERHAND_MASTERS"]
        for conf in self.configurations():
            if "$" not in conf["spark.overhand.masters"]:
                self.assertEqual(conf["spark.overhand.masters"], masters)
        submit = (EXAMPLES / "spark-submit.sh").read_text()
        pattern = re.search(r"printf '(\S+),' 0 1 2", submit)[1]
        self.assertEqual(",".join(pattern % i for i in range(3)), masters)

    def test_has_a_template_of_pods_that_kubernetes_takes(self):
        template = yaml.safe_load((EXAMPLES / "spark-spot-executor.yaml").read_text())
        for version in KUBERNETES:
            kubernetes_validate.validate(copy.deepcopy(template), version, strict=True)

    def test_offers_the_metrics_that_the_autoscaler_asks_for(self):
        adapter = yaml.safe_load((EXAMPLES / "prometheus-adapter.yaml").read_text())
        [scaler] = of_kind(render(CHART / "values.yaml", "--set-json", "autoscaling.enabled=true"), "HorizontalPodAutoscaler")
        self.assertEqual({rule["name"]["as"] for rule in adapter["rules"]["custom"]},
                         {metric["pods"]["metric"]["name"] for metric in scaler["spec"]["metrics"]})


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]])
