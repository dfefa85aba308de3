"""The Helm chart: whom its pods reach, and who reaches them."""

import json

import pytest
from ruamel.yaml import YAML
from tests.support.chart import for_each_set, of_kind, pods, rules, selects, template


@for_each_set
def test_pods_reach_the_name_server_the_broker_and_the_store_only(name: str) -> None:
    for component in pods(name):
        reached = list(rules(name, component, "egress"))
        expected = {53} if name == "standalone" else {53, 443, 5672}
        if component == "migrate":
            expected |= {5432}
        assert {port["port"] for rule in reached for port in rule["ports"]} == expected
        assert all(rule["to"] for rule in reached), "nobody named is everybody allowed"
        called = list(rules(name, component, "ingress"))
        assert all(rule["from"] for rule in called)
        ports = {port["port"] for rule in called for port in rule["ports"]}
        assert ("http" in ports) == (component in {"ingest", "publisher", "standalone"})


@for_each_set
def test_what_selects_pods_selects_those_of_its_component(name: str) -> None:
    for kind, where in (("Service", ()), ("PodDisruptionBudget", ("matchLabels",))):
        for component, manifest in of_kind(name, kind).items():
            selector = manifest["spec"]["selector"]
            for step in where:
                selector = selector[step]
            chosen = [other for other, pod in pods(name).items() if selects({"matchLabels": selector}, pod)]
            assert chosen == [component]


@pytest.mark.parametrize(("name", "prefix"), [("s3", ""), ("cpu-scaling", "/images")])
def test_paths_lead_where_the_gateway_leads_them(name: str, prefix: str) -> None:
    paths = {
        path["path"]: path["backend"]["service"]["name"]
        for ingress in of_kind(name, "Ingress").values()
        for path in ingress["spec"]["rules"][0]["http"]["paths"]
    }
    of_ingest = {f"{prefix}{path}": "photos-ingest" for path in ("/upload", "/events", "/status", "/capabilities")}
    assert paths == of_ingest | {prefix or "/": "photos-publisher"}
    upload = of_kind(name, "Ingress")["upload"]["metadata"]["annotations"]
    assert upload["nginx.ingress.kubernetes.io/proxy-body-size"] == "0", "ingest itself limits the bytes"


def test_pods_reach_the_collector_of_traces_where_one_is_named() -> None:
    peer = '[{"podSelector": {"matchLabels": {"app": "tempo"}}}]'
    text, said = template(
        "s3",
        settings__OTEL_EXPORTER_OTLP_TRACES_ENDPOINT='"http://tempo:4318/v1/traces"',
        networkPolicy__collector__to=peer,
    )
    assert text, said
    policies = [manifest for manifest in YAML(typ="safe").load_all(text) if manifest["kind"] == "NetworkPolicy"]
    (policy,) = [manifest for manifest in policies if manifest["metadata"]["name"] == "photos"]
    (collector,) = [rule for rule in policy["spec"]["egress"] if rule["to"] == json.loads(peer)]
    assert [port["port"] for port in collector["ports"]] == [4318]
