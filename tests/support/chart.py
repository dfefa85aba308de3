"""The chart's manifests for each set of values that is documented, and the pods in them."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from tests.support.kubernetes import helm

RELEASE = "photos"
VALUE_SETS = {
    "s3": ("s3",),
    "queue-scaling": ("s3", "queue-scaling"),
    "cpu-scaling": ("s3", "cpu-scaling"),
    "standalone": ("standalone",),
    "migration": ("s3", "migration"),
}
for_each_set = pytest.mark.parametrize("name", list(VALUE_SETS))

CHART = Path("deploy/kubernetes")

Manifest = dict[str, Any]


def template(name: str, **given: str) -> tuple[str, str]:
    """What helm prints and complains of for a set of values, and for values as JSON by their path (`__` for a dot)."""
    return template_of(CHART, name, **given)


def template_of(chart: Path, name: str, **given: str) -> tuple[str, str]:
    """The same of a chart that is elsewhere."""
    files = [part for file in VALUE_SETS[name] for part in ("-f", str(CHART / "examples" / f"{file}.yaml"))]
    values = [part for path, value in given.items() for part in ("--set-json", f"{path.replace('__', '.')}={value}")]
    done = helm("template", RELEASE, str(chart), *files, *values)
    return done.stdout, done.stderr


@cache
def manifests(name: str) -> list[Manifest]:
    """All manifests of a set of values."""
    text, complaint = template(name)
    assert text, complaint
    return [manifest for manifest in YAML(typ="safe").load_all(text) if manifest]


def of_kind(name: str, kind: str) -> dict[str, Manifest]:
    """Those of one kind, by their names without the release's."""
    return {
        manifest["metadata"]["name"].removeprefix(f"{RELEASE}-"): manifest
        for manifest in manifests(name)
        if manifest["kind"] == kind
    }


def pods(name: str) -> dict[str, Manifest]:
    """The pod templates, by the component that they run."""
    return {pod["metadata"]["labels"]["app.kubernetes.io/component"]: pod for pod in map(_pod, manifests(name)) if pod}


def container(pod: Manifest) -> Manifest:
    """Its only container."""
    (only,) = pod["spec"]["containers"]
    found: Manifest = only
    return found


def environment(pod: Manifest) -> dict[str, str]:
    """The variables of its container; of those from a Secret, an empty text."""
    return {variable["name"]: variable.get("value", "") for variable in container(pod)["env"]}


def selects(selector: Manifest, pod: Manifest) -> bool:
    """Whether a label selector selects the pod."""
    labels = pod["metadata"]["labels"]
    listed = all(labels.get(rule["key"]) in rule["values"] for rule in selector.get("matchExpressions", []))
    return listed and selector.get("matchLabels", {}).items() <= labels.items()


def rules(name: str, component: str, direction: str) -> Iterator[Manifest]:
    """The rules of the network policies that hold for a component, `egress` or `ingress`."""
    for policy in of_kind(name, "NetworkPolicy").values():
        if selects(policy["spec"]["podSelector"], pods(name)[component]):
            yield from policy["spec"].get(direction, [])


def _pod(manifest: Manifest) -> Manifest | None:
    spec = manifest.get("spec", {})
    spec = spec.get("jobTemplate", {}).get("spec", spec)
    found: Manifest | None = spec.get("template")
    return found
