"""The profile `monitoring`: Prometheus finds every container by the names of docker-compose.yml, and has the alerts."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from ruamel.yaml import YAML
from tests.client.site import Site
from tests.containers.load import Uploads
from tests.support.compose import PROMETHEUS, Project, docker
from tests.support.docker import can_get
from tests.support.eventually import eventually
from tests.support.pictures import photo

_JOBS = {"ingest": 1, "resizer": 2, "publisher": 1, "rabbitmq": 1}
_RULES = YAML(typ="safe").load(Path("deploy/monitoring/alerts.yml"))


@pytest.fixture(scope="module")
def monitored(project: Project) -> Iterator[Project]:
    """A project of the same images, with two resizers and Prometheus."""
    files = [] if can_get(PROMETHEUS) else ["tests/containers/compose-prometheus.yml"]
    print(f"\nPrometheus: {'of Debian, in the place of ' if files else ''}{PROMETHEUS}")
    found = Project(*files, VERSION=project.name)
    try:
        found.up(resizer=2)
        found.must("--profile", "monitoring", "up", "-d", "--no-deps", "prometheus")
        found.wait_healthy("prometheus")
        yield found
    finally:
        found.down()


async def asked(project: Project, path: str, **parameters: str) -> Any:
    """What Prometheus answers: its port is not published."""
    (container,) = await asyncio.to_thread(project.containers, "prometheus")
    url = f"http://127.0.0.1:9090/api/v1/{path}?{urlencode(parameters)}"
    return json.loads(await asyncio.to_thread(docker, "exec", container, "wget", "-q", "-O", "-", url))["data"]


async def test_every_container_is_asked(monitored: Project) -> None:
    async def all_answer() -> bool:
        targets = (await asked(monitored, "targets"))["activeTargets"]
        found = [target["labels"]["job"] for target in targets if target["health"] == "up"]
        return {job: found.count(job) for job in set(found)} == _JOBS

    await eventually(all_answer, "an answer of every container")


async def test_every_alert_is_loaded(monitored: Project) -> None:
    groups = (await asked(monitored, "rules"))["groups"]
    loaded = {rule["name"] for group in groups for rule in group["rules"] if rule["type"] == "alerting"}
    assert loaded == {rule["alert"] for group in _RULES["groups"] for rule in group["rules"] if "alert" in rule}
    assert {rule["lastError"] for group in groups for rule in group["rules"] if "lastError" in rule} <= {""}


async def test_an_upload_is_counted(monitored: Project) -> None:
    async with aiohttp.ClientSession() as http:
        uploads = Uploads(Site(http, monitored.url, f"{monitored.url}/active", monitored.secret))
        await uploads.one(photo(300, 200))
    assert uploads.names

    async def counted() -> bool:
        found = await asked(monitored, "query", query="sum(image_backend_uploads_total)")
        return [series["value"][1] for series in found["result"]] == ["1"]

    await eventually(counted, "the upload in Prometheus")


async def test_no_alert_is_about_to_fire_once_all_containers_are_asked(monitored: Project) -> None:
    async def healthy() -> bool:
        rules = [rule for group in (await asked(monitored, "rules"))["groups"] for rule in group["rules"]]
        return all(rule["health"] == "ok" for rule in rules) and (await asked(monitored, "alerts"))["alerts"] == []

    await eventually(healthy, "rules that were evaluated, of which none holds")
