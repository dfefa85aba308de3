"""The HTTP application of a service: its routes, with error responses, metrics, logs and health checks."""

import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from common import metrics, tracing
from common.errors import StorageFault, StorageFull, Transient
from common.http.answers import RETRY_HEADERS, error_response
from common.http.api import calls, common_calls
from common.http.api.document import document
from common.http.api.models import LiveAnswer, ReadyAnswer
from common.http.api.operation import Route
from common.http.bodies import RequestRefused, answer_expectation
from common.http.cors import cors, preflight
from common.http.docs.routes import docs_routes
from common.http.fields import LIMITS
from common.http.server import HEALTH, refuse_excess
from common.messaging import asyncapi
from common.settings.base import HttpSettings, Settings

log = structlog.get_logger()

_EVERY_PATH = "/{path:(?s:.*)}"  # also one with a line break
_UNTRACED = (*HEALTH, "/events/{key}")  # a stream of events lasts for an hour


@dataclass
class Health:
    """The state that `/readyz` reports.

    `storage` raises StorageFault when the store does not answer. `broker` and `decoders` return what is wrong, or None.
    The endpoint is public, and reasons name addresses: only the log has the reasons. A service with `needs_broker` does
    nothing but handle events: it is ready only with the broker, and once it takes them.
    """

    storage: Callable[[], Awaitable[None]]
    broker: Callable[[], str | None]
    decoders: Callable[[], str | None]
    needs_broker: bool = False
    takes_events: bool = False
    draining: bool = False
    in_flight: int = 0
    logged: dict[str, str | None] = field(default_factory=dict)

    async def report(self) -> ReadyAnswer:
        """Whether the service is ready, the state of each dependency, and whether it takes events."""
        storage = None
        try:
            await self.storage()
        except StorageFault as fault:
            storage = str(fault)
        broker, decoders = self.broker(), self.decoders()
        handles_events = broker is None and self.takes_events
        able = storage is None and decoders is None and (handles_events or not self.needs_broker)
        ready = able and not self.draining
        return ReadyAnswer(
            ready=ready,
            storage=self._public_state("storage", storage),
            broker=self._public_state("broker", broker),
            decoders=self._public_state("decoders", decoders),
            events="ok" if self.takes_events else "the service does not take events yet",
            stopping=True if self.draining else None,
        )

    def _public_state(self, name: str, reason: str | None) -> str:
        """The state of a dependency without the reason, which is logged when it changes."""
        if reason is not None and reason != self.logged.get(name):
            log.warning("dependency cannot be used", dependency=name, reason=reason)
        self.logged[name] = reason
        return "ok" if reason is None else f"the {name} cannot be used just now; the log says why"


def make_app(service: str, routes: Iterable[Route], health: Health, settings: Settings) -> web.Application:
    """The service's application: its own routes and those of every service, under the route prefix."""
    at_one_address = isinstance(settings, HttpSettings)  # what the gateway leads to
    prefix = settings.route_prefix if isinstance(settings, HttpSettings) else ""
    origins = settings.allowed_origins if isinstance(settings, HttpSettings) else ()
    middlewares = (_observe(service, health), refuse_excess, preflight, _answer_errors)
    app = web.Application(middlewares=middlewares, client_max_size=LIMITS.bytes)
    app.on_response_prepare.append(cors(origins))
    described = document(calls.ALL if at_one_address else common_calls.ALL, prefix, at_one_address=at_one_address)
    add_route = partial(app.router.add_route, expect_handler=answer_expectation)
    served: dict[str, set[str]] = defaultdict(set)
    for route in (*routes, *_common_routes(health), *_documents(described), *docs_routes()):
        path, method = prefix + route.operation.path, route.operation.method
        for one in (hdrs.METH_GET, hdrs.METH_HEAD) if method == hdrs.METH_GET else (method,):
            add_route(one, path, route.handler)
            served[path].add(one)
    # Without routes for the rest, aiohttp would send `100 Continue` before it answers 404 or 405.
    for path, methods in served.items():
        add_route(hdrs.METH_ANY, path, _refuse_method(methods))
    add_route(hdrs.METH_ANY, _EVERY_PATH, _refuse_path)
    return app


def make_metrics_app(path: str) -> web.Application:
    """The application on METRICS_PORT."""

    async def show(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.router.add_get(path, show)
    return app


def _documents(described: dict[str, object]) -> list[Route]:
    async def openapi(_: web.Request) -> web.Response:
        return web.json_response(described)

    async def events(_: web.Request) -> web.Response:
        return web.json_response(asyncapi.document())

    return [Route(common_calls.OPENAPI, openapi), Route(common_calls.ASYNCAPI, events)]


def _common_routes(health: Health) -> list[Route]:
    async def ping(_: web.Request) -> web.Response:
        return web.Response(text="Pong!")

    async def alive(_: web.Request) -> web.Response:
        return web.json_response(LiveAnswer(alive=True).as_json())

    async def ready(_: web.Request) -> web.Response:
        report = await health.report()
        if report.ready:
            return web.json_response(report.as_json())
        return web.json_response(report.as_json(), status=503, headers=RETRY_HEADERS)

    return [Route(common_calls.PING, ping), Route(common_calls.LIVE, alive), Route(common_calls.READY, ready)]


def _refuse_method(allowed: Collection[str]) -> Handler:
    async def refuse(request: web.Request) -> web.StreamResponse:
        raise web.HTTPMethodNotAllowed(request.method, allowed)

    return refuse


async def _refuse_path(_: web.Request) -> web.StreamResponse:
    raise web.HTTPNotFound


@web.middleware
async def _answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ConnectionError:
        # No client is left to read this. It gives the request its status in metrics and log.
        return error_response(400, "the connection was lost before the body was complete")
    except web.HTTPException as error:
        if error.status < HTTPStatus.BAD_REQUEST:
            raise
        return _not_served(request, error)
    except RequestRefused as error:
        request["reason"] = str(error)
        return error_response(error.status, str(error))
    except Transient as error:
        log.exception("request failed for now", path=request.path)
        reason = "there is no room left" if isinstance(error, StorageFull) else type(error).__name__
        return error_response(503, f"not possible just now, try again: {reason}")
    except Exception:
        # The client gets an answer, and no stack trace.
        log.exception("request failed by a defect", path=request.path)
        return error_response(500, "internal error")


def _not_served(request: web.Request, error: web.HTTPException) -> web.Response:
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return error_response(413, str(LIMITS.too_large()))
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        answer = error_response(405, f"{request.method} {request.path}: expected {allowed}")
        answer.headers["Allow"] = allowed
        return answer
    return error_response(error.status, f"{request.method} {request.path}: {error.reason}")


def _observe(service: str, health: Health) -> Middleware:
    """The middleware that counts, measures, traces and logs each request, and closes connections while it stops."""

    @web.middleware
    async def observe(request: web.Request, handler: Handler) -> web.StreamResponse:
        found = request.match_info.route
        route = found.resource.canonical if found.resource and found.method != hdrs.METH_ANY else "unknown"
        with _request_span(request, route) as span:
            response = await answer(request, handler, route)
            span.tell(**{"http.response.status_code": response.status})
            if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                span.fail(f"answered {response.status}")
            return response

    async def answer(request: web.Request, handler: Handler, route: str) -> web.StreamResponse:
        start = time.monotonic()
        health.in_flight += 1
        try:
            response = await handler(request)
        finally:
            health.in_flight -= 1
        if health.draining:
            response.force_close()
        seconds = time.monotonic() - start
        metrics.HTTP_REQUESTS.labels(service, _method(request), route, response.status).inc()
        metrics.HTTP_SECONDS.labels(service, route).observe(seconds)
        details = {name: request[name] for name in ("image", "reason") if name in request}
        ms = round(seconds * 1000, 1)
        write = log.debug if route.endswith(HEALTH) else log.info
        write("answered", method=request.method, path=request.path, status=response.status, ms=ms, **details)
        return response

    return observe


def _request_span(request: web.Request, route: str) -> AbstractContextManager[tracing.Span]:
    if route.endswith(_UNTRACED):
        return nullcontext(tracing.NO_SPAN)
    method, parent = _method(request), request.headers.get("traceparent")
    attributes = {"http.request.method": method, "http.route": route, "url.path": request.path}
    return tracing.entry(f"{method} {route}", tracing.Kind.SERVER, parent, **attributes)


def _method(request: web.Request) -> str:
    """The method as metrics and spans have it. Clients can send any method, so unknown ones get one name."""
    return request.method if request.method in ("GET", "HEAD", "POST", "OPTIONS") else "other"
