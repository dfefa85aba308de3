"""`python -m standalone`: the whole image backend, without a server."""

import os
from contextlib import AsyncExitStack

import structlog

from common.cli.command_line import command_line
from common.jobs import dead_letters_command
from common.lifecycle import Service, run
from common.messaging.embedded import EmbeddedBus
from common.messaging.events import Event
from common.wiring import open_buckets
from ingest.bootstrap import ingest
from publisher.bootstrap import publisher
from resizer.bootstrap import resizer
from standalone.dead_letters import open_letters, stored_letters
from standalone.settings import DEFAULTS, StandaloneSettings, read

log = structlog.get_logger()


async def start() -> None:
    """Run until SIGTERM."""
    settings = read()
    if not any(os.environ.get(name, "").strip() for name in ("API_SECRET_KEY", "API_SECRET_KEY_FILE")):
        log.warning(
            "API_SECRET_KEY is not set: anybody who knows the default can publish", default=DEFAULTS["API_SECRET_KEY"]
        )
    log.info(
        "the embedded default",
        upload=f"http://localhost:{settings.service_port}{settings.route_prefix}/upload",
        incoming=str(settings.storage.incoming),
        active=str(settings.storage.active),
    )
    async with AsyncExitStack() as stack:
        buckets = await stack.enter_async_context(open_buckets(settings))
        bus = EmbeddedBus(letters=stored_letters(buckets.incoming))
        services = [
            await stack.enter_async_context(ingest(settings, bus=bus, buckets=buckets)),
            await stack.enter_async_context(resizer(settings, bus=bus, buckets=buckets)),
            await stack.enter_async_context(publisher(settings, bus=bus, buckets=buckets, repair_all_at_start=True)),
        ]
        await run(_combined(services, bus), bus=bus, buckets=buckets, settings=settings)


def _combined(services: list[Service], bus: EmbeddedBus) -> Service:
    """All services as one, and the bus that takes what is replayed."""

    def on_event(event: Event) -> None:
        for service in services:
            if service.listener is not None:
                service.listener(event)

    def stopping() -> None:
        for service in services:
            service.stopping()

    def trouble() -> str | None:
        return next(filter(None, (service.trouble() for service in services)), None)

    return Service(
        name="standalone",
        routes=tuple(route for service in services for route in service.routes),
        subscriptions=tuple(subscription for service in services for subscription in service.subscriptions),
        background=(bus.run, *(task for service in services for task in service.background)),
        listener=on_event,
        stopping=stopping,
        trouble=trouble,
    )


if __name__ == "__main__":
    command_line(
        "standalone",
        "The whole image backend in one process, without a broker. It serves, unless a command is given.",
        settings=read,
        kind=StandaloneSettings,
        serve=start,
        jobs=(dead_letters_command("standalone", open_letters, StandaloneSettings),),
    )
