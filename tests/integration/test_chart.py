"""The Helm chart: what it makes of the documented values is valid, confined, and what the services understand."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML
from tests.support.chart import (
    CHART,
    container,
    environment,
    for_each_set,
    manifests,
    of_kind,
    pods,
    selects,
    template,
    template_of,
)
from tests.support.kubernetes import helm, schema_errors
from tests.unit.test_clients import client

from common.messaging.topology import QUEUES
from common.settings.base import Settings, read_settings
from common.version import VERSION
from ingest.settings import IngestServiceSettings
from migrator.settings import MigratorServiceSettings
from publisher.settings import MaintenanceBrokerSettings, MaintenanceSettings, PublisherServiceSettings
from resizer.settings import ResizerServiceSettings
from standalone.commands import COMMANDS
from standalone.settings import StandaloneSettings

OLDEST, NEWEST = "1.30", "1.37"
SETTINGS: dict[str, type[Settings]] = {
    "ingest": IngestServiceSettings,
    "publisher": PublisherServiceSettings,
    "resizer": ResizerServiceSettings,
    "migrate": MigratorServiceSettings,
    "resize": ResizerServiceSettings,
    "clean": MaintenanceBrokerSettings,
    "reconcile": MaintenanceBrokerSettings,
}
# Without a broker.
STANDALONE_SETTINGS: dict[str, type[Settings]] = {
    "standalone": StandaloneSettings,
    "clean": MaintenanceSettings,
    "reconcile": MaintenanceSettings,
}
SECRETS = {
    "RABBITMQ_URL": "amqp://images:secret@broker:5672/",
    "API_SECRET_KEY": "secret",
    "STORE_ACCESS_KEY_ID": "key",
    "STORE_SECRET_KEY": "secret",
    "V5_DATABASE_URL": "postgresql://v5:secret@database:5432/v5",
}


@for_each_set
@pytest.mark.parametrize("kubernetes", [OLDEST, NEWEST])
@pytest.mark.xdist_group("chart")
def test_every_manifest_is_valid(name: str, kubernetes: str) -> None:
    errors = [(manifest["kind"], schema_errors(manifest, kubernetes)) for manifest in manifests(name)]
    assert [error for error in errors if error[1]] == []


@pytest.mark.parametrize("kind", ["Deployment", "ScaledObject", "ServiceMonitor", "PrometheusRule"])
@pytest.mark.xdist_group("chart")
def test_a_field_that_nobody_knows_is_an_error(kind: str) -> None:
    manifest = next(iter(of_kind("queue-scaling", kind).values()))
    assert schema_errors(manifest | {"spec": manifest["spec"] | {"unknown": 1}}, NEWEST)


@for_each_set
def test_pods_meet_the_restricted_standard(name: str) -> None:
    for component, pod in pods(name).items():
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & pod["spec"].keys()
        whole, own = pod["spec"]["securityContext"], container(pod)["securityContext"]
        assert (whole["runAsNonRoot"], whole["seccompProfile"]) == (True, {"type": "RuntimeDefault"}), component
        assert own == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert all(volume.keys() <= {"name", "emptyDir", "persistentVolumeClaim"} for volume in pod["spec"]["volumes"])


@for_each_set
def test_pods_ask_for_what_their_decoders_may_take(name: str) -> None:
    for component, pod in pods(name).items():
        given, resources = environment(pod), container(pod)["resources"]
        workers, image = int(given["RESIZER_WORKERS"]), int(given.get("IMAGE_MEMORY_MB", 1024))
        renders = component == "resizer" or name == "standalone"
        most = 4 * workers * image if renders else 0
        assert _mebibytes(resources["limits"]["memory"]) > max(most, _mebibytes(resources["requests"]["memory"]) - 1)
        assert resources["requests"]["cpu"]


@for_each_set
def test_services_are_probed_and_have_time_to_stop(name: str) -> None:
    for component, deployment in of_kind(name, "Deployment").items():
        pod = deployment["spec"]["template"]
        given, own = environment(pod), container(pod)
        prefix = "" if component == "resizer" else given.get("ROUTE_PREFIX", "")
        assert own["startupProbe"]["httpGet"] == own["livenessProbe"]["httpGet"]
        assert own["livenessProbe"]["httpGet"] == {"path": f"{prefix}/livez", "port": "http"}
        assert own["readinessProbe"]["httpGet"] == {"path": f"{prefix}/readyz", "port": "http"}
        stopping = float(given.get("SHUTDOWN_TIMEOUT", 25)) + own["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert pod["spec"]["terminationGracePeriodSeconds"] > stopping


@for_each_set
def test_the_settings_are_those_of_the_services(name: str) -> None:
    for component, pod in pods(name).items():
        given = environment(pod)
        missing = {variable for variable, value in given.items() if not value}
        kind = STANDALONE_SETTINGS[component] if name == "standalone" else SETTINGS[component]
        settings = read_settings(kind, {key: SECRETS.get(key, value) for key, value in given.items()})
        ports = [port["containerPort"] for port in container(pod).get("ports", [])]
        assert not ports or ports == [settings.service_port, settings.metrics_port]
        assert ("API_SECRET_KEY" in missing) == (component in {"publisher", "standalone"})
        assert ("V5_DATABASE_URL" in missing) == (component == "migrate")
        assert missing <= SECRETS.keys()


@for_each_set
def test_visitors_are_told_apart_behind_the_ingress(name: str) -> None:
    for component, pod in pods(name).items():
        given = environment(pod)
        assert ("TRUSTED_PROXIES" in given) == (component in {"ingest", "standalone"})
        if "TRUSTED_PROXIES" in given:
            settings = {key: SECRETS.get(key, value) for key, value in given.items()}
            trusted = read_settings(IngestServiceSettings, SECRETS | settings).trusted_proxies
            for controller in ("10.42.0.7", "172.17.0.3", "192.168.4.5", "100.64.1.2", "fd00:10::7"):
                assert client(controller, "203.0.113.5", trusted=trusted) == "203.0.113.5"


def test_proxies_with_other_addresses_can_be_named() -> None:
    text, complaint = template("s3", trustedProxies='["10.42.0.0/16", "198.51.100.0/24"]')
    assert '- name: TRUSTED_PROXIES\n              value: "10.42.0.0/16,198.51.100.0/24"' in text, complaint


@for_each_set
def test_commands_are_those_of_the_services(name: str) -> None:
    commands = {command.name for command in COMMANDS}
    for component, pod in pods(name).items():
        if (arguments := container(pod).get("args")) is not None:
            assert arguments[0] == component
            assert component in commands


@pytest.mark.parametrize(
    ("name", "kind"), [("queue-scaling", "ScaledObject"), ("cpu-scaling", "HorizontalPodAutoscaler")]
)
def test_who_scales_the_resizer_finds_it(name: str, kind: str) -> None:
    spec = of_kind(name, kind)["resizer"]["spec"]
    assert spec["scaleTargetRef"]["name"] == "photos-resizer"
    assert "replicas" not in of_kind(name, "Deployment")["resizer"]["spec"], "an upgrade would set it back"
    queues = {trigger["metadata"]["queueName"] for trigger in spec.get("triggers", [])}
    assert queues in (set(), {queue.name for queue in QUEUES if queue.name.startswith("resizer.")})


def test_metrics_are_found() -> None:
    spec = of_kind("queue-scaling", "ServiceMonitor")["photos"]["spec"]
    for service in of_kind("queue-scaling", "Service").values():
        assert selects(spec["selector"], service)
        assert spec["endpoints"][0]["port"] in {port["name"] for port in service["spec"]["ports"]}


def test_alerts_and_dashboard_are_those_of_compose() -> None:
    monitoring = Path("deploy/monitoring")
    rule = of_kind("queue-scaling", "PrometheusRule")["photos"]
    assert rule["spec"] == YAML(typ="safe").load(monitoring / "alerts.yml")
    assert rule["metadata"]["labels"]["release"] == "prometheus"
    dashboard = of_kind("queue-scaling", "ConfigMap")["dashboard"]
    assert dashboard["data"] == {
        "image-backend.json": (monitoring / "grafana/dashboards/image-backend.json").read_text()
    }
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"
    for kind in ("PrometheusRule", "ConfigMap"):
        assert of_kind("s3", kind) == {}


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"settings__API_SECRET_KEY": '"known"'}, "API_SECRET_KEY"),
        ({"settings__STORE_SECRET_KEY": '"known"'}, "STORE_SECRET_KEY"),
        ({"settings__SERVICE_PORT": '"80"'}, "SERVICE_PORT"),
        ({"settings__TRUSTED_PROXIES": '"10.0.0.0/8"'}, "TRUSTED_PROXIES"),
        ({"trustedProxies": "[]"}, "trustedProxies"),
        ({"settings__MAX_PIXELS": "100000000"}, "got number, want string"),
        ({"resizers": "{}"}, "resizers"),
        ({"existingSecret": '""'}, "existingSecret names the Secret"),
        ({"networkPolicy__broker__to": "[]"}, "networkPolicy.broker.to is empty"),
        ({"settings__OTEL_EXPORTER_OTLP_ENDPOINT": '"http://tempo:4318"'}, "networkPolicy.collector.to is empty"),
    ],
)
def test_values_that_cannot_be_meant_are_refused(given: dict[str, str], complaint: str) -> None:
    text, said = template("s3", **given)
    assert not text
    assert complaint in said


def test_a_packed_chart_makes_the_same(tmp_path: Path) -> None:
    """Its alerts and its dashboard are links to what Compose uses."""
    packed = helm("package", str(CHART), "--app-version", f"v{VERSION}", "--destination", str(tmp_path))
    assert packed.returncode == 0, packed.stderr
    text, complaint = template_of(tmp_path / f"image-backend-{VERSION}.tgz", "queue-scaling")
    assert text == template("queue-scaling")[0], complaint


def _mebibytes(quantity: str) -> int:
    assert quantity.endswith("Mi")
    return int(quantity.removesuffix("Mi"))
