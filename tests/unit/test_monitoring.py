"""Alerts, dashboard and documents name what Prometheus is told, and each alert has its entry for the operator."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY, Counter, Histogram
from prometheus_client.metrics import MetricWrapperBase
from ruamel.yaml import YAML

from common import metrics
from common.messaging.topology import QUEUES
from common.settings.base import Settings

FOLDER = Path("deploy/monitoring")
(GROUP,) = YAML(typ="safe").load(FOLDER / "alerts.yml")["groups"]
ALERTS: dict[str, dict[str, Any]] = {rule["alert"]: rule for rule in GROUP["rules"]}
DASHBOARD_FILE = FOLDER / "grafana/dashboards/image-backend.json"
DASHBOARD: dict[str, Any] = json.loads(DASHBOARD_FILE.read_text())
PANELS: dict[str, dict[str, Any]] = {panel["title"]: panel for panel in DASHBOARD["panels"]}

# Who scrapes adds these.
TARGET_LABELS = {"job", "instance"}
# A real broker has to tell these: tests/e2e/test_alerts.py.
OF_RABBITMQ = {
    name: {"queue", "vhost"} for name in ("rabbitmq_detailed_queue_messages_ready", "rabbitmq_detailed_queue_consumers")
}
OF_PROMETHEUS = {"ALERTS": {"alertname", "alertstate"}}


def series() -> dict[str, set[str]]:
    """The labels of each series that the services tell, by its name."""
    found = {sample.name: set(sample.labels) for family in REGISTRY.collect() for sample in family.samples}
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            name, labels = metric._name, set(metric._labelnames)  # noqa: SLF001 - it tells nobody
            if isinstance(metric, Histogram):
                found |= {f"{name}_bucket": labels | {"le"}, f"{name}_count": labels, f"{name}_sum": labels}
            else:
                found[name + ("_total" if isinstance(metric, Counter) else "")] = labels
    return found


SERIES = series() | OF_RABBITMQ | OF_PROMETHEUS
EXPRESSIONS = {name: rule["expr"] for name, rule in ALERTS.items()} | {
    f"{title}, {target['refId']}": target["expr"]
    for title, panel in PANELS.items()
    for target in panel.get("targets", [])
}
# What takes the place of the old backends' metrics.
_SUCCESSORS = Path("docs/upgrading.md").read_text().partition("\n## Metrics\n")[2].partition("\n## ")[0]
SUCCESSORS = re.findall(r"`((?:image_backend|process)_[^`]+)`", _SUCCESSORS)
# A histogram is named as a whole there, and one of its series here.
TOLD = EXPRESSIONS | {f"upgrading: {told}": re.sub(r"_seconds(?=$|\{)", "_seconds_count", told) for told in SUCCESSORS}
for_each_expression = pytest.mark.parametrize("expression", TOLD.values(), ids=TOLD)


def selectors(expression: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Each series that an expression names, with the labels that it asks for and their values."""
    for name, matchers in re.findall(r"\b((?:image_backend|rabbitmq|process)_\w+|ALERTS)(?:\{([^}]*)\})?", expression):
        yield name, dict(re.findall(r'(\w+)(?:=|=~|!=|!~)"([^"]*)"', matchers))


@for_each_expression
def test_every_series_and_label_is_told(expression: str) -> None:
    asked = list(selectors(expression))
    assert asked
    told = TARGET_LABELS | set[str]().union(*(SERIES[name] for name, _ in asked))
    for name, labels in asked:
        assert labels.keys() <= SERIES[name] | TARGET_LABELS, name
    for grouped in re.findall(r"\b(?:by|on) \(([^)]*)\)", expression):
        assert set(grouped.split(", ")) <= told


@for_each_expression
def test_every_value_of_a_label_is_documented(expression: str) -> None:
    for name, labels in selectors(expression):
        metric = re.sub(r"_(bucket|count|sum)$", "", name)
        row = re.search(rf"^\| `{metric}` .*$", Path("docs/operations.md").read_text(), re.MULTILINE)
        for label, value in labels.items():
            if row is None:
                assert not name.startswith("image_backend")
            elif label == "queue":
                assert set(value.split("|")) <= {queue.name for queue in QUEUES}
            elif label != "route":
                assert set(value.split("|")) <= set(re.findall(r"`([^`]+)`", row[0])), f"{name}, {label}"


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_has_an_entry_with_a_command(alert: str) -> None:
    document, _, anchor = ALERTS[alert]["annotations"]["runbook_url"].partition("#")
    assert anchor == alert.lower()
    entry = re.search(rf"^#+ {alert}\n(.*?)^#+ ", Path(document).read_text(), re.MULTILINE | re.DOTALL)
    assert entry, f"{document} has no heading {alert}"
    assert re.search(r"`[^`]*(docker compose|python -m|curl) [^`]*`", entry[1]), "no command to run"


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_says_what_is_wrong_and_how_bad_it_is(alert: str) -> None:
    assert ALERTS[alert]["labels"]["severity"] in {"critical", "warning"}
    assert {"summary", "description"} < ALERTS[alert]["annotations"].keys()


def test_documents_have_no_entry_of_another_alert() -> None:
    headings = re.findall(r"^#+ (ImageBackend\w+)$", Path("docs/operations.md").read_text(), re.MULTILINE)
    assert headings == list(ALERTS)


def test_every_metric_is_on_the_dashboard() -> None:
    shown = {name for expression in EXPRESSIONS.values() for name, _ in selectors(expression)}
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            assert any(name.startswith(metric._name) for name in shown), metric  # noqa: SLF001 - it tells nobody


def test_panels_are_told_apart_and_do_not_overlap() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)
    places = [
        (x, y)
        for where in (panel["gridPos"] for panel in panels)
        for x in range(where["x"], where["x"] + where["w"])
        for y in range(where["y"], where["y"] + where["h"])
    ]
    assert len(places) == len(set(places))
    assert max(x for x, _ in places) < 24
    for panel in panels:
        references = [target["refId"] for target in panel.get("targets", [])]
        assert len(references) == len(set(references))


def test_panels_ask_the_chosen_data_source() -> None:
    (variable,) = DASHBOARD["templating"]["list"]
    assert (variable["name"], variable["type"], variable["query"]) == ("datasource", "datasource", "prometheus")
    for panel in DASHBOARD["panels"]:
        if panel["type"] != "row":
            assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, panel["title"]
            assert all(target["datasource"] == panel["datasource"] for target in panel["targets"])


def test_compose_has_what_prometheus_and_grafana_are_told() -> None:
    services = YAML(typ="safe").load(Path("docker-compose.yml"))["services"]
    for job in YAML(typ="safe").load(FOLDER / "prometheus.yml")["scrape_configs"]:
        (target,) = job["dns_sd_configs"]
        assert target["names"] == [job["job_name"]]
        assert job["job_name"] in services
        ours = Settings.model_fields["metrics_port"].default
        assert target["port"] == (15692 if job["job_name"] == "rabbitmq" else ours)
    grafana = services["grafana"]["environment"]
    (mounted,) = services["grafana"]["volumes"]
    here, there, _ = mounted.split(":")
    provisioning = Path(grafana["GF_PATHS_PROVISIONING"].replace(there, here))
    assert Path(grafana["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"].replace(there, here)).exists()
    (provider,) = YAML(typ="safe").load(provisioning / "dashboards/image-backend.yml")["providers"]
    assert list(Path(provider["options"]["path"].replace(there, here)).iterdir()) == [DASHBOARD_FILE]
    (source,) = YAML(typ="safe").load(provisioning / "datasources/prometheus.yml")["datasources"]
    assert source["url"] == "http://prometheus:9090"


def test_what_monitors_is_seen_from_this_machine_alone() -> None:
    services = YAML(typ="safe").load(Path("docker-compose.yml"))["services"]
    assert "ports" not in services["prometheus"]
    assert services["grafana"]["ports"] == ["${GRAFANA_PORT:-127.0.0.1:3000}:3000"]
    for name in ("prometheus", "grafana"):
        assert services[name]["profiles"] == ["monitoring"]
        assert (services[name]["cap_drop"], services[name]["read_only"]) == (["ALL"], True)
