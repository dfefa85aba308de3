"""A deployment whose start is over: the embedded default repairs both buckets when it starts."""

from prometheus_client.parser import text_string_to_metric_families
from tests.support.deployment import Deployment
from tests.support.eventually import eventually

_LAST_SUCCESS = "image_backend_maintenance_last_success_timestamp_seconds"


async def start_and_repair(deployment: Deployment) -> None:
    """Start all services. Nothing is requested a second time for being there while the buckets are repaired."""
    await deployment.start()
    if not deployment.in_one_process:
        return
    (process,) = deployment.processes.values()

    async def is_repaired() -> bool:
        async with deployment.http.get(f"http://127.0.0.1:{process.metrics_port}/metrics") as answer:
            families = text_string_to_metric_families(await answer.text())
        samples = [sample for family in families for sample in family.samples if sample.name == _LAST_SUCCESS]
        return any(sample.labels["task"] == "reconcile" and sample.value > 0 for sample in samples)

    await eventually(is_repaired, "the end of the repair at the start")
