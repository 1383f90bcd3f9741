"""The autoscaling by lag, held against the definitions of KEDA itself, which Go's proxy has."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import jsonschema
import pytest
import yaml

from tandem.settings import ConsumerSettings
from tests.deploy.manifests import Cluster, Object, build, copy

KEDA = "github.com/kedacore/keda/v2@v2.21.0"
KINDS = {"ScaledObject": "scaledobjects", "TriggerAuthentication": "triggerauthentications"}

pytestmark = pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed")


@pytest.fixture(scope="module", params=["overlays/keda", "overlays/confluent-cloud"])
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    return Cluster(build(copy(tmp_path_factory.mktemp("deploy") / "kubernetes") / request.param).stdout)


@pytest.fixture(scope="module")
def keda() -> Path:
    """Where the module is, from Go's own cache if it is there."""
    if not shutil.which("go"):
        pytest.skip("go is not installed, and it brings KEDA's definitions")
    command = ["go", "mod", "download", "-json", KEDA]
    got = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    answer = json.loads(got.stdout or "{}")
    if "Dir" not in answer:
        pytest.skip(f"no {KEDA}: {answer.get('Error', got.stderr)}")
    return Path(answer["Dir"])


def custom(cluster: Cluster) -> list[Object]:
    return [each for kind in KINDS for each in cluster.all(kind)]


def faults(keda: Path, each: Object) -> list[str]:
    text = (keda / "config/crd/bases" / f"keda.sh_{KINDS[each['kind']]}.yaml").read_text()
    (version,) = yaml.safe_load(text)["spec"]["versions"]
    schema = closed(version["schema"]["openAPIV3Schema"])
    schema["properties"]["metadata"] = {"type": "object"}  # Kubernetes' own
    return [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(each)]


def closed(schema: Object) -> Object:
    """The same without room for unknown fields, which a cluster would drop without a word."""
    inner = {name: closed(value) for name, value in schema.get("properties", {}).items()}
    items = {"items": closed(schema["items"])} if "items" in schema else {}
    shut = {"properties": inner, "additionalProperties": False} if inner else {}
    return {**schema, **items, **shut}


def test_keda_knows_every_field(cluster: Cluster, keda: Path) -> None:
    assert {each["kind"] for each in custom(cluster)} >= {"ScaledObject"}
    assert [fault for each in custom(cluster) for fault in faults(keda, each)] == []


def test_it_would_refuse_a_field_that_is_not_there(cluster: Cluster, keda: Path) -> None:
    (scaled,) = cluster.all("ScaledObject")
    wrong = {**scaled, "spec": {**scaled["spec"], "minReplicas": 1, "maxReplicaCount": "12"}}
    assert len(faults(keda, wrong)) == 2


def test_the_kafka_scaler_knows_what_it_is_told(cluster: Cluster, keda: Path) -> None:
    source = (keda / "pkg/scalers/kafka_scaler.go").read_text()
    known = {name: where.split(";") for name, where in re.findall(r'keda:"name=(\w+),order=([\w;]+)', source)}
    (scaled,) = cluster.all("ScaledObject")
    (trigger,) = scaled["spec"]["triggers"]
    for name in trigger["metadata"]:
        assert ("resolvedEnv" if name.endswith("FromEnv") else "triggerMetadata") in known[
            name.removesuffix("FromEnv")
        ]
    for login in cluster.all("TriggerAuthentication"):
        assert all("authParams" in known[each["parameter"]] for each in login["spec"]["secretTargetRef"])


def test_it_scales_the_consumer_by_the_lag_of_its_group(cluster: Cluster) -> None:
    (scaled,) = cluster.all("ScaledObject")
    target = cluster.one("Deployment", scaled["spec"]["scaleTargetRef"]["name"])
    environment = cluster.environment(target["spec"]["template"])
    (trigger,) = scaled["spec"]["triggers"]
    named = {name: value for name, value in trigger["metadata"].items() if name.endswith("FromEnv")}
    assert named == {
        "bootstrapServersFromEnv": "KAFKA_BOOTSTRAP_SERVERS",
        "consumerGroupFromEnv": "GROUP_ID",
    }
    assert all(environment[variable] for variable in named.values())
    assert trigger["metadata"]["offsetResetPolicy"] == environment.get("AUTO_OFFSET_RESET", "earliest")
    assert "replicas" not in target["spec"]  # else each apply would undo what the autoscaler did


def test_there_are_never_more_pods_than_partitions_of_the_topic(cluster: Cluster) -> None:
    (scaled,) = cluster.all("ScaledObject")
    target = cluster.one("Deployment", scaled["spec"]["scaleTargetRef"]["name"])
    created = ConsumerSettings.model_fields["topic_partitions"].default
    environment = cluster.environment(target["spec"]["template"])
    assert scaled["spec"]["maxReplicaCount"] == int(environment.get("TOPIC_PARTITIONS", created))


def test_it_logs_in_where_the_consumer_does(cluster: Cluster) -> None:
    (scaled,) = cluster.all("ScaledObject")
    target = cluster.one("Deployment", scaled["spec"]["scaleTargetRef"]["name"])
    (trigger,) = scaled["spec"]["triggers"]
    assert ("authenticationRef" in trigger) == bool(cluster.files(target["spec"]["template"]))
    if "authenticationRef" in trigger:
        login = cluster.one("TriggerAuthentication", trigger["authenticationRef"]["name"])
        for each in login["spec"]["secretTargetRef"]:
            assert each["key"] in cluster.one("Secret", each["name"])["data"]
        assert (trigger["metadata"]["sasl"], trigger["metadata"]["tls"]) == ("plaintext", "enable")
