"""The manifests in contrib, held to the program: it starts with their configurations, and answers their probes; what they name is there.

    python3 tests/kubernetes.py PROGRAM

PROGRAM is the built ``gannet``. Python needs PyYAML: that of the OpenAPI validator's environment has it.
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
SECRETS = "/run/secrets/gannet"
MANIFESTS = ["contrib/kubernetes/gannet.yaml", "contrib/cluster/kubernetes.yaml"]


def of_kind(objects, *kinds):
    return [one for one in objects if one["kind"] in kinds]


def is_in(wanted, labels):
    return all(labels.get(name) == value for name, value in wanted.items())


def configuration(program, text, version, folder):
    """What the program makes of the file, with secrets that it can read."""
    for name in sorted(set(re.findall(rf"{SECRETS}/(\w+)", text))):
        (folder / name).write_text("0123456789abcdef0123456789abcdef")
    (folder / "gannet.toml").write_text(text.replace(SECRETS, str(folder)))
    subprocess.run([program, "config", "check", folder / "gannet.toml"], check=True, stdout=subprocess.DEVNULL)
    shown = subprocess.run([program, "config", "show", folder / "gannet.toml"], check=True, stdout=subprocess.PIPE, text=True).stdout
    return {name: int(ms) for name, ms in re.findall(r"^(drain_ms|shutdown_ms|close_ms) = \"?(\d+)", shown, re.M)}


def check(program, objects, version, paths, folder):
    names = {kind: {one["metadata"]["name"] for one in of_kind(objects, kind)} for kind in ("ConfigMap", "Service")}
    pods = [one["spec"]["template"] for one in of_kind(objects, "Deployment", "StatefulSet")]
    for one in of_kind(objects, "Deployment", "StatefulSet"):
        assert is_in(one["spec"]["selector"]["matchLabels"], one["spec"]["template"]["metadata"]["labels"]), one["metadata"]
        assert one["spec"].get("serviceName") in {None, *names["Service"]}, one["spec"]["serviceName"]
    for service in of_kind(objects, "Service"):
        chosen = [pod for pod in pods if is_in(service["spec"]["selector"], pod["metadata"]["labels"])]
        ports = {port["name"] for pod in chosen for one in pod["spec"]["containers"] for port in one["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports, (service["metadata"], ports)
    for policy in of_kind(objects, "NetworkPolicy", "PodDisruptionBudget"):
        wanted = policy["spec"].get("podSelector", policy["spec"].get("selector"))["matchLabels"]
        assert any(is_in(wanted, pod["metadata"]["labels"]) for pod in pods), policy["metadata"]
    (pod,) = [pod for pod in pods if pod["metadata"]["labels"]["app"] == "gannet"]
    (container,) = pod["spec"]["containers"]
    assert container["image"].endswith(f":{version}"), (container["image"], version)
    assert container["securityContext"]["runAsNonRoot"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    for name in ("readinessProbe", "livenessProbe", "startupProbe"):
        if name in container:
            assert container[name]["httpGet"]["path"] in paths and container[name]["httpGet"]["port"] in ports, name
    mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounted == {"config": "/etc/gannet", "secrets": SECRETS}, mounted
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    assert volumes["config"]["configMap"]["name"] in names["ConfigMap"]
    (text,) = [one["data"]["gannet.toml"] for one in of_kind(objects, "ConfigMap")]
    assert [int(port) for port in re.findall(r'^listen = "0\.0\.0\.0:(\d+)"', text, re.M)] == [ports["players"], ports["backend"]]
    times = configuration(program, text, version, folder)
    assert len(times) == 3, times
    assert pod["spec"]["terminationGracePeriodSeconds"] * 1_000 > sum(times.values()), times


def main():
    program = sys.argv[1]
    version = re.search(r'^version = "(.*)"$', (ROOT / "Cargo.toml").read_text(), re.M)[1]
    paths = json.loads((ROOT / "docs/openapi.json").read_text())["paths"]
    for name in MANIFESTS:
        objects = [one for one in yaml.safe_load_all((ROOT / name).read_text()) if one]
        with tempfile.TemporaryDirectory() as folder:
            check(program, objects, version, paths, pathlib.Path(folder))
        print(f"ok - {name}")
    print(f"{len(MANIFESTS)} passed, 0 failed")


if __name__ == "__main__":
    main()
