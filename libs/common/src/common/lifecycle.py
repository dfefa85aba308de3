"""The life of a service: wait for the store, run, and on SIGTERM finish the work in hand."""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog
from aiohttp import web

from common import tracing
from common.backoff import pause
from common.cancellation import is_cancelled
from common.errors import BackgroundFault, BusFault, SettingsError, StorageFault
from common.http import BoundedSite, Health, Route, make_app, make_metrics_app, most_connections
from common.http.clients import EVERYWHERE
from common.logs import configure_logs
from common.messaging.bus import Bus, Subscription, no_trouble
from common.messaging.events import Event
from common.settings.base import Settings
from common.settings.values import Network
from common.storage.base import Buckets
from common.storage.temporary import remove_stale_files
from common.version import VERSION

log = structlog.get_logger()

_NOTICE = 1.0  # seconds in which a load balancer can see that the service is not ready any more
_RESERVE = 2.0  # seconds that are kept for events when requests take too long
_CLEANUP_INTERVAL = 3600.0  # seconds
_SCRAPERS = 8  # connections at METRICS_PORT
_STORAGE_PAUSES = (0.5, 1.0, 2.0, 5.0)  # seconds between looks at a store that is not up yet


def _do_nothing() -> None:
    """For services that do nothing when they begin to stop."""


@dataclass(frozen=True)
class Service:
    """What a service's wiring returns: all that the process has to run for it.

    `listener` is called with every event, also with those that others handle; it may miss some. `stopping` is called
    first when the service stops. `trouble` says why the service is not ready, as no decoding process can be started, or
    is None. `proxies` are the addresses behind which there are many clients.
    """

    name: str
    routes: tuple[Route, ...] = ()
    subscriptions: tuple[Subscription, ...] = ()
    background: tuple[Callable[[], Coroutine[None, None, None]], ...] = ()
    listener: Callable[[Event], None] | None = None
    stopping: Callable[[], None] = _do_nothing
    trouble: Callable[[], str | None] = no_trouble
    needs_broker: bool = False
    proxies: tuple[Network, ...] = EVERYWHERE


def main(name: str, start: Callable[[], Coroutine[None, None, None]]) -> None:
    """The command of a service: exit 0 after a clean stop, 2 with a line for each setting that cannot be used.

    1 when it cannot start, or stops because a task in its background has ended.
    """
    configure_logs(name)
    try:
        asyncio.run(start())
    except SettingsError as error:
        for line in error.lines:
            print(f"{name}: {line}", file=sys.stderr)
        sys.exit(2)
    except (BusFault, StorageFault, OSError) as error:
        print(f"{name}: cannot start: {error}", file=sys.stderr)
        sys.exit(1)
    except BackgroundFault:  # which is in the log
        sys.exit(1)


async def run(service: Service, *, bus: Bus, buckets: Buckets, settings: Settings) -> None:
    """Run the service until SIGTERM or SIGINT, then drain it. Raises SettingsError for variables of OpenTelemetry."""
    tracing.start(service.name, settings.traces_url)
    exempt_from_collection()
    try:
        fault = await _run(service, bus=bus, buckets=buckets, settings=settings)
    finally:
        await asyncio.to_thread(tracing.stop)
    log.info("stopped")
    if fault is not None:
        raise BackgroundFault(_reason(fault)) from fault


def exempt_from_collection() -> None:
    """Have the garbage collector never look again at what there is now: modules, classes and settings stay.

    To look through them again and again took a tenth of a resizer's CPU time, without that of decoders.
    """
    gc.collect()
    gc.freeze()


async def _run(service: Service, *, bus: Bus, buckets: Buckets, settings: Settings) -> BaseException | None:
    """Run the service and drain it. Returns what has ended a background task, if one has ended."""
    health = Health(buckets.check, bus.trouble, service.trouble, service.needs_broker)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as http:
        app = make_app(service.name, service.routes, health, settings)
        connections = most_connections()
        # The metrics come first: a service that answers `/readyz` can be scraped.
        if not settings.disable_prometheus_metrics:
            metrics_app = make_metrics_app(settings.metrics_path)
            await http.enter_async_context(_serve(metrics_app, "METRICS_PORT", settings.metrics_port, _SCRAPERS))
        serving = _serve(app, "SERVICE_PORT", settings.service_port, connections, service.proxies)
        runner = await http.enter_async_context(serving)
        log.info(
            "started",
            version=VERSION,
            port=settings.service_port,
            temp_folder=str(settings.temp_folder),
            most_connections=connections,
        )
        work = asyncio.create_task(_run_tasks(service, bus, buckets, settings.temp_folder, health))
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait((work, stopped), return_when=asyncio.FIRST_COMPLETED)
        fault = work.exception() if work.done() else None
        if fault is not None:
            log.error("a background task has ended", reason=_reason(fault), exc_info=fault)
        health.draining = True
        service.stopping()
        log.info("stopping: finishing the work in hand")
        # In one process, a request may wait for what an event leads to: requests are finished first, and then events.
        deadline = asyncio.get_running_loop().time() + settings.shutdown_timeout
        await _finish_requests(runner, health, deadline - _RESERVE)
        await bus.drain(max(_RESERVE, deadline - asyncio.get_running_loop().time()))
        stopped.cancel()
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
    return fault


@asynccontextmanager
async def _serve(
    app: web.Application, setting: str, port: int, connections: int, proxies: tuple[Network, ...] = EVERYWHERE
) -> AsyncIterator[web.AppRunner]:
    """The application on the port of the setting. Raises OSError that names both, when it cannot be used."""
    runner = web.AppRunner(app, shutdown_timeout=0.5)
    await runner.setup()
    try:
        try:
            await BoundedSite(runner, port, connections, proxies).start()
        except OSError as error:
            why = os.strerror(error.errno).lower() if error.errno else str(error)
            raise OSError(f"{setting} {port} cannot be used: {why}; expected a port that is free") from error
        yield runner
    finally:
        await runner.cleanup()


async def _run_tasks(service: Service, bus: Bus, buckets: Buckets, temporary: Path, health: Health) -> None:
    """Run all that a service does beside answering requests. Tells `health` once it takes events."""
    await _wait_for_storage(buckets)
    await bus.consume(service.subscriptions, service.listener)
    health.takes_events = True
    async with asyncio.TaskGroup() as tasks:
        for task in (bus.run, *service.background):
            tasks.create_task(_run_endlessly(task.__qualname__, task()))
        tasks.create_task(
            _run_endlessly(_remove_unfinished_writes.__qualname__, _remove_unfinished_writes(buckets, temporary))
        )


async def _wait_for_storage(buckets: Buckets) -> None:
    """Wait until the store answers: without it, every event would use up its retries."""
    logged, failures = "", 0
    while True:
        try:
            await buckets.check()
        except StorageFault as fault:
            if str(fault) != logged:
                logged = str(fault)
                log.warning("waiting for the store", reason=logged)
            failures += 1
            await asyncio.sleep(pause(failures, _STORAGE_PAUSES))
        else:
            return


async def _run_endlessly(name: str, work: Coroutine[None, None, None]) -> None:
    """Run work that must not end by itself. Raises BackgroundFault when it does, and what it raises itself."""
    try:
        await work
    except asyncio.CancelledError as error:
        if is_cancelled():
            raise
        raise BackgroundFault(f"{name} was cancelled by something that it waited for") from error
    raise BackgroundFault(f"{name} has ended; expected it to run until the service stops")


async def _remove_unfinished_writes(buckets: Buckets, temporary: Path) -> None:
    """Remove now and then the unfinished writes that crashes of any service left."""
    while True:
        try:
            await asyncio.to_thread(remove_stale_files, temporary)
            await buckets.remove_unfinished_writes()
        except (OSError, StorageFault) as fault:
            log.warning("unfinished writes cannot be removed now", reason=str(fault))
        await asyncio.sleep(_CLEANUP_INTERVAL)


async def _finish_requests(runner: web.AppRunner, health: Health, deadline: float) -> None:
    """Finish the requests in hand. aiohttp's own shutdown would drop a body that is still being sent."""
    await asyncio.sleep(_NOTICE)
    for site in list(runner.sites):
        await site.stop()
    while health.in_flight and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110 - a count, not an event
        await asyncio.sleep(0.05)
    if health.in_flight:
        log.warning("requests cut off: they took too long", requests=health.in_flight)


def _reason(fault: BaseException) -> str:
    while isinstance(fault, BaseExceptionGroup):
        fault = fault.exceptions[0]
    return str(fault) or type(fault).__name__
