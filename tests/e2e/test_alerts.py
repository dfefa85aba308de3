"""A real Prometheus asks real services and a real broker, and sees what is wrong with them."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.support.deployment import Deployment
from tests.support.eventually import eventually
from tests.support.mortal import DebianBroker, debian_ports
from tests.support.pictures import photo
from tests.support.prometheus import Prometheus, prometheus
from tests.support.servers import free_port

from common.images.names import ImageKey
from common.messaging.events import ActivationRequested, encode

UNCONSUMED = ("ImageBackendQueueUnconsumed", "pending", "Nothing consumes the queue resizer.live")
DEAD = ("ImageBackendDeadLetters", "firing", "Events of the queue publisher could not be handled")
AWAY = ("ImageBackendBrokerAway", "pending", "No connection to the broker")


def exactly(watcher: Prometheus, *alerts: tuple[str, str, str]) -> Callable[[], Awaitable[bool]]:
    """Whether these alerts are pending or firing, and no other."""

    async def look() -> bool:
        return await watcher.alerts() == set(alerts)

    return look


async def test_what_is_wrong_is_seen_and_that_it_is_over(tmp_path: Path) -> None:
    ports = debian_ports() | {"prometheus": free_port()}
    broker = DebianBroker(ports, "")
    await broker.start()
    try:
        node = {"amqp": f"127.0.0.1:{ports['amqp']}", "management": f"http://127.0.0.1:{ports['management']}"}
        async with Deployment.prepared("rabbit-local", tmp_path, [node], RECONCILE_INTERVAL="1") as deployment:
            await deployment.start()
            metrics = {name: process.metrics_port for name, process in deployment.processes.items()}
            async with prometheus(tmp_path / "prometheus", metrics | {"rabbitmq": ports["prometheus"]}) as watcher:
                await all_is_seen(watcher, deployment, broker)
    finally:
        await broker.end()


async def all_is_seen(watcher: Prometheus, deployment: Deployment, broker: DebianBroker) -> None:
    async def every_job() -> bool:
        return await watcher.scraped() == {"ingest", "resizer", "publisher", "rabbitmq"}

    await eventually(every_job, "an answer of each job")
    await deployment.uploaded(photo(300, 200))
    await eventually(exactly(watcher), "a site that is well")

    await deployment.processes["resizer"].terminate()
    await deployment.uploaded(photo(300, 200))
    await eventually(exactly(watcher, UNCONSUMED), "a queue without a consumer")
    await deployment.start("resizer")
    await eventually(exactly(watcher), "a site that is well again")

    assert deployment.vhost is not None
    unknown = ActivationRequested(source="/test", subject=ImageKey.parse("1475660224_1.jpg"))
    await deployment.vhost.put_message("publisher", encode(unknown).decode())
    await eventually(exactly(watcher, DEAD), "a dead letter")

    await broker.kill()

    async def is_away() -> bool:
        return AWAY in await watcher.alerts()

    await eventually(is_away, "a broker that is away")
