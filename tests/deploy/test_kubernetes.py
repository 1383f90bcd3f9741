"""The manifests, as kustomize builds them: what they say to Kubernetes, and to the services."""

import shutil
import tomllib
from ipaddress import ip_address
from pathlib import Path

import kubernetes_validate  # type: ignore[import-untyped]
import pytest

from services.consumer.handlers import ROLES
from services.ops.topics import TopicsSettings
from tandem.settings import ConsumerSettings, ProducerSettings
from tandem.settings.source import read_settings
from tests.deploy.manifests import SECRET, Cluster, Object, build, container_of, copy, matches
from tests.setting_names import secret_names, setting_names

ROOT = Path(__file__).parents[2]
OVERLAYS = ["base", "overlays/bank", "overlays/keda", "overlays/confluent-cloud"]
CUSTOM = "keda.sh/v1alpha1"  # known to clusters with KEDA only
VERSIONS = ["1.31", kubernetes_validate.latest_version()]
PodSettings = type[ProducerSettings | ConsumerSettings | TopicsSettings]
COMMANDS: dict[str, PodSettings] = {
    "services.producer": ProducerSettings,
    "services.consumer": ConsumerSettings,
    "create": TopicsSettings,
}

pytestmark = [
    pytest.mark.usefixtures("clean_environment"),
    pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed"),
]


def settings_of(pod: Object) -> PodSettings:
    return COMMANDS[container_of(pod)["command"][-1]]


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy(tmp_path_factory.mktemp("deploy") / "kubernetes")


@pytest.fixture(scope="module", params=OVERLAYS)
def cluster(request: pytest.FixtureRequest, manifests: Path) -> Cluster:
    built = build(manifests / request.param)
    assert (built.returncode, built.stderr) == (0, "")
    return Cluster(built.stdout)


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_knows_every_field(cluster: Cluster, version: str) -> None:
    for each in cluster.objects:
        if each["apiVersion"] != CUSTOM:
            kubernetes_validate.validate(each, version, strict=True)


def test_it_would_refuse_a_field_that_is_not_there(cluster: Cluster) -> None:
    deployment = cluster.one("Deployment", "producer")
    wrong = {**deployment, "spec": {**deployment["spec"], "replica": 1}}
    with pytest.raises(kubernetes_validate.ValidationError, match="replica"):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


def test_no_two_objects_have_one_name_and_all_are_in_one_namespace(cluster: Cluster) -> None:
    names = [(each["kind"], each["metadata"]["name"]) for each in cluster.objects]
    assert len(names) == len(set(names))
    inside = [each["metadata"]["namespace"] for each in cluster.objects if each["kind"] != "Namespace"]
    assert set(inside) == {"tandem"}


def test_a_pod_has_time_to_drain(cluster: Cluster) -> None:
    for pod in cluster.pods():
        if settings_of(pod) is not TopicsSettings:
            drain = float(cluster.environment(pod)["DRAIN_SECONDS"])
            assert pod["spec"]["terminationGracePeriodSeconds"] >= drain + 10


def test_a_service_is_asked_whether_it_lives_and_whether_it_is_ready(cluster: Cluster) -> None:
    for deployment in cluster.all("Deployment"):
        pod = deployment["spec"]["template"]
        container = container_of(pod)
        paths = {probe: container[probe]["httpGet"]["path"] for probe in container if probe.endswith("Probe")}
        assert paths == {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
        (port,) = container["ports"]
        assert all(container[probe]["httpGet"]["port"] == port["name"] for probe in paths)
        environment = cluster.environment(pod)
        assert environment["ADMIN_PORT"] == str(port["containerPort"])
        assert ip_address(environment["ADMIN_HOST"]).is_unspecified


def test_a_pod_may_do_next_to_nothing(cluster: Cluster) -> None:
    for pod in cluster.pods():
        security, container = pod["spec"]["securityContext"], container_of(pod)
        assert (security["runAsNonRoot"], security["runAsUser"], security["runAsGroup"]) == (
            True,
            10001,
            10001,
        )
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"].keys() == {"requests", "limits"}
        assert {each["mountPath"] for each in container["volumeMounts"]} >= {"/tmp"}  # noqa: S108
        assert pod["spec"]["automountServiceAccountToken"] is False
        cluster.one("ServiceAccount", pod["spec"]["serviceAccountName"])


def test_every_image_is_that_of_this_version(cluster: Cluster) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert {container_of(pod)["image"] for pod in cluster.pods()} == {f"tandem:{version}"}


def test_every_variable_is_a_setting_and_its_value_one_that_is_taken(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for pod in cluster.pods():
        with monkeypatch.context() as its:
            environment, files = cluster.environment(pod), cluster.files(pod)
            assert not environment.keys() - setting_names()
            for name, value in environment.items():
                its.setenv(name, value)
                if name.removesuffix("_FILE") in secret_names():
                    (tmp_path / name).write_text(files[value])
                    its.setenv(name, str(tmp_path / name))
            action = container_of(pod)["command"][2:] if settings_of(pod) is TopicsSettings else []
            read_settings(settings_of(pod), action)


def test_secrets_are_files_and_never_in_the_environment(cluster: Cluster) -> None:
    for pod in cluster.pods():
        environment, files = cluster.environment(pod), cluster.files(pod)
        assert not environment.keys() & secret_names()
        assert SECRET not in environment.values()
        assert all(each["value"] for each in container_of(pod).get("env", []))  # and from no secret either
        named = {value for name, value in environment.items() if name.removesuffix("_FILE") in secret_names()}
        assert named <= files.keys()


def test_a_consumer_takes_part_in_the_group_of_its_role(cluster: Cluster) -> None:
    for deployment in cluster.all("Deployment"):
        pod = deployment["spec"]["template"]
        if settings_of(pod) is ConsumerSettings:
            environment = cluster.environment(pod)
            role = environment["ROLE"]
            assert ROLES[role].stream == environment["STREAM"]
            assert environment["GROUP_ID"] == (ROLES[role].group or role)
            assert "GROUP_INSTANCE_ID" not in environment


def test_there_is_one_producer_which_ends_before_the_next_begins(cluster: Cluster) -> None:
    spec = cluster.one("Deployment", "producer")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_what_the_producer_could_not_send_outlives_its_pod(cluster: Cluster) -> None:
    pod = cluster.one("Deployment", "producer")["spec"]["template"]
    (claimed,) = (each for each in pod["spec"]["volumes"] if "persistentVolumeClaim" in each)
    cluster.one("PersistentVolumeClaim", claimed["persistentVolumeClaim"]["claimName"])
    (mount,) = (each for each in container_of(pod)["volumeMounts"] if each["name"] == claimed["name"])
    assert Path(cluster.environment(pod)["UNACKED_FILE"]).parent == Path(mount["mountPath"])
    assert pod["spec"]["securityContext"]["fsGroup"] == pod["spec"]["securityContext"]["runAsGroup"]


def test_each_selector_finds_the_pods_of_its_own_deployment_and_no_others(cluster: Cluster) -> None:
    pods = [each["spec"]["template"]["metadata"]["labels"] for each in cluster.all("Deployment")]
    for deployment in cluster.all("Deployment"):
        selector = deployment["spec"]["selector"]["matchLabels"]
        own = deployment["spec"]["template"]
        assert [labels for labels in pods if matches(selector, labels)] == [own["metadata"]["labels"]]
        for spread in own["spec"].get("topologySpreadConstraints", []):
            assert spread["labelSelector"]["matchLabels"] == selector


def test_a_drain_of_nodes_takes_one_consumer_at_a_time(cluster: Cluster) -> None:
    consumers = [each for each in cluster.all("Deployment") if each["metadata"]["name"] != "producer"]
    budgets = {each["metadata"]["name"]: each["spec"] for each in cluster.all("PodDisruptionBudget")}
    assert budgets.keys() == {each["metadata"]["name"] for each in consumers}
    for deployment in consumers:
        budget = budgets[deployment["metadata"]["name"]]
        assert (budget["selector"], budget["maxUnavailable"]) == (deployment["spec"]["selector"], 1)


def test_the_network_is_shut_but_for_what_the_pods_need(cluster: Cluster) -> None:
    (policy,) = cluster.all("NetworkPolicy")
    spec = policy["spec"]
    assert set(spec["policyTypes"]) == {"Ingress", "Egress"}
    (scrape,) = spec["ingress"]
    assert scrape["from"] == [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    ]
    assert [port["port"] for port in scrape["ports"]] == ["admin"]
    out = {port["port"] for rule in spec["egress"] for port in rule["ports"] if rule["to"]}
    for pod in cluster.pods():
        assert matches(spec["podSelector"]["matchLabels"], pod["metadata"]["labels"])
        brokers = cluster.environment(pod)["KAFKA_BOOTSTRAP_SERVERS"].split(",")
        assert {int(broker.rpartition(":")[2]) for broker in brokers} | {53} <= out


def test_prometheus_finds_every_pod_that_has_an_admin_port(cluster: Cluster) -> None:
    (service,) = cluster.all("Service")
    found = [pod for pod in cluster.pods() if matches(service["spec"]["selector"], pod["metadata"]["labels"])]
    assert found == [each["spec"]["template"] for each in cluster.all("Deployment")]
    (port,) = service["spec"]["ports"]
    assert all(port["targetPort"] == each["name"] for pod in found for each in container_of(pod)["ports"])


def test_without_the_files_of_a_secret_nothing_is_built(manifests: Path, tmp_path: Path) -> None:
    shutil.copytree(manifests, tmp_path / "bare", ignore=shutil.ignore_patterns("secrets"))
    built = build(tmp_path / "bare/overlays/confluent-cloud")
    assert built.returncode
    assert "secrets/username" in built.stderr
