"""`python -m standalone`: the whole image backend, without a server."""

import os
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from functools import partial

import structlog

from common.cli.command_line import command_line
from common.lifecycle import Service, run
from common.messaging.embedded import EmbeddedBus
from common.messaging.events import Event
from common.settings.values import Network
from common.wiring import open_buckets
from ingest.bootstrap import ingest
from publisher.bootstrap import publisher
from resizer.bootstrap import resizer
from standalone.alone import warn_unless_alone
from standalone.commands import COMMANDS
from standalone.dead_letters import stored_letters
from standalone.settings import DEFAULTS, StandaloneSettings, read

log = structlog.get_logger()


async def start() -> None:
    """Run until SIGTERM."""
    settings = read(StandaloneSettings)
    if not any(os.environ.get(name, "").strip() for name in ("API_SECRET_KEY", "API_SECRET_KEY_FILE")):
        log.warning(
            "API_SECRET_KEY is not set: anybody who knows the default can publish", default=DEFAULTS["API_SECRET_KEY"]
        )
    log.info(
        "the embedded default",
        upload=f"http://localhost:{settings.service_port}{settings.route_prefix}/upload",
        page=f"http://localhost:{settings.service_port}{settings.route_prefix}/" if settings.demo_page else None,
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

        async def watch_for_another() -> None:
            await warn_unless_alone(buckets.incoming, settings.temp_folder)

        service = _combined(services, watch_for_another, proxies=settings.trusted_proxies)
        await run(service, bus=bus, buckets=buckets, settings=settings)


def _combined(
    services: list[Service], *tasks: Callable[[], Coroutine[None, None, None]], proxies: tuple[Network, ...]
) -> Service:
    """All services as one, with more tasks in the background."""

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
        background=(*tasks, *(task for service in services for task in service.background)),
        listener=on_event,
        stopping=stopping,
        trouble=trouble,
        proxies=proxies,
    )


if __name__ == "__main__":
    command_line(
        "standalone",
        "The whole image backend in one process, without a broker. It serves, unless a command is given.",
        settings=partial(read, StandaloneSettings),
        kind=StandaloneSettings,
        serve=start,
        jobs=COMMANDS,
    )
