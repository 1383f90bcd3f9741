"""What the manifests of `deploy/kubernetes` come to."""

import base64
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

MANIFESTS = Path(__file__).parents[2] / "deploy" / "kubernetes"
SECRET = "c4nary-s3cret"

Object = dict[str, Any]


class Cluster:
    """What an overlay would put into a cluster."""

    def __init__(self, text: str) -> None:
        self.objects: list[Object] = list(yaml.safe_load_all(text))

    def all(self, kind: str) -> list[Object]:
        return [each for each in self.objects if each["kind"] == kind]

    def one(self, kind: str, name: str) -> Object:
        (found,) = (each for each in self.all(kind) if each["metadata"]["name"] == name)
        return found

    def pods(self) -> Iterator[Object]:
        for each in [*self.all("Deployment"), *self.all("Job")]:
            yield each["spec"]["template"]

    def environment(self, pod: Object) -> dict[str, str]:
        container = container_of(pod)
        maps = [self.one("ConfigMap", source["configMapRef"]["name"]) for source in container["envFrom"]]
        own = {each["name"]: each["value"] for each in container.get("env", [])}
        return {
            name: value for data in [*(each["data"] for each in maps), own] for name, value in data.items()
        }

    def files(self, pod: Object) -> dict[str, str]:
        """The secrets that a pod has as files, by their paths."""
        where = {each["name"]: each["mountPath"] for each in container_of(pod)["volumeMounts"]}
        return {
            f"{where[volume['name']]}/{key}": base64.b64decode(value).decode()
            for volume in pod["spec"]["volumes"]
            if "secret" in volume
            for key, value in self.one("Secret", volume["secret"]["secretName"])["data"].items()
        }


def container_of(pod: Object) -> Object:
    (container,) = pod["spec"]["containers"]
    return dict(container)


def matches(selector: Object, labels: Object) -> bool:
    return selector.items() <= labels.items()


def copy(there: Path) -> Path:
    """The manifests, in a place where somebody has written down the secret."""
    shutil.copytree(MANIFESTS, there, ignore=shutil.ignore_patterns("secrets"))
    secrets = there / "overlays/confluent-cloud/secrets"
    secrets.mkdir()
    (secrets / "username").write_text("key")
    (secrets / "api_secret").write_text(SECRET)
    return there


def build(folder: Path) -> "subprocess.CompletedProcess[str]":
    """Let kustomize write down what a folder would put into a cluster."""
    command = ["kubectl", "kustomize", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
