"""A real Prometheus, with the configuration and the rules of deploy/monitoring."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from ruamel.yaml import YAML
from tests.support.own_server import own_server
from tests.support.servers import free_port

PROGRAM = "prometheus"
_MONITORING = Path("deploy/monitoring")


class Prometheus:
    """One that runs."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self._url = url
        self._http = http

    async def alerts(self) -> set[tuple[str, str, str]]:
        """Those that are `pending` or `firing`: the name, this state, and what the summary says."""
        async with self._http.get(f"{self._url}/api/v1/alerts") as answer:
            found = (await answer.json())["data"]["alerts"]
        return {(alert["labels"]["alertname"], alert["state"], alert["annotations"]["summary"]) for alert in found}

    async def scraped(self) -> set[str]:
        """The jobs whose targets have all answered at the last time."""
        async with self._http.get(f"{self._url}/api/v1/targets") as answer:
            targets = (await answer.json())["data"]["activeTargets"]
        failed = {target["labels"]["job"] for target in targets if target["health"] != "up"}
        return {target["labels"]["job"] for target in targets} - failed


@asynccontextmanager
async def prometheus(folder: Path, ports: Mapping[str, int]) -> AsyncIterator[Prometheus]:
    """One that asks each job at its port on this machine, every second; the rules are as they are deployed."""
    await asyncio.to_thread(folder.mkdir)
    (folder / "prometheus.yml").write_text(json.dumps(_configuration(ports)))  # which is YAML, too
    url = f"http://127.0.0.1:{(port := free_port())}"
    command = (
        PROGRAM,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    )
    async with own_server(*command, output=folder / "output", ready=f"{url}/-/ready") as http:
        yield Prometheus(url, http)


def _configuration(ports: Mapping[str, int]) -> dict[str, object]:
    """The one for Compose, with addresses of this machine in place of Compose's names."""
    found: dict[str, object] = YAML(typ="safe").load(_MONITORING / "prometheus.yml")
    jobs = found["scrape_configs"]
    assert isinstance(jobs, list)
    for job in jobs:
        del job["dns_sd_configs"]
        job["static_configs"] = [{"targets": [f"127.0.0.1:{ports[job['job_name']]}"]}]
    return found | {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str((_MONITORING / "alerts.yml").absolute())],
    }
