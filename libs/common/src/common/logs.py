"""Logs: one structured line per step, JSON for machines, text for a person."""

import logging
import os
import sys
from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

import structlog

from common import tracing

T = TypeVar("T", bound=StrEnum)


class LogLevel(StrEnum):
    """The least important lines that are written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """How a line is written."""

    JSON = "json"
    CONSOLE = "console"


def configure_logs(service: str, environment: Mapping[str, str] = os.environ) -> None:
    """Send everything, the libraries' own messages included, to standard error in one form.

    LOG_LEVEL and LOG_FORMAT are read here, before all other settings, whose reading may log something. What they hold
    that cannot be used is reported with the other settings.
    """
    terminal = sys.stderr.isatty()
    level = logging.getLevelNamesMapping()[_chosen(LogLevel, environment.get("LOG_LEVEL"), LogLevel.INFO).upper()]
    usual = LogFormat.CONSOLE if terminal else LogFormat.JSON
    for_person = _chosen(LogFormat, environment.get("LOG_FORMAT"), usual) is LogFormat.CONSOLE
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        _add_trace_id,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *(_text(colours=terminal and not environment.get("NO_COLOR")) if for_person else _JSON),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for library in ("aiobotocore", "aiohttp", "asyncio", "botocore"):
        logging.getLogger(library).setLevel(max(level, logging.WARNING))
    for library in ("aio_pika", "aiormq"):
        # The link to the broker logs each loss of the connection itself, once.
        logging.getLogger(library).setLevel(logging.CRITICAL)
    structlog.contextvars.bind_contextvars(service=service)


def _add_trace_id(
    _: structlog.typing.WrappedLogger, __: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    trace_id = tracing.trace_id()
    return event if trace_id is None else {**event, "trace_id": trace_id}


_JSON: list[structlog.typing.Processor] = [
    structlog.processors.format_exc_info,
    structlog.processors.JSONRenderer(),
]


def _text(*, colours: bool) -> list[structlog.typing.Processor]:
    """Values are quoted, so that what a client sent cannot write to the terminal."""
    plain = structlog.dev.plain_traceback  # others show the values of variables, secrets among them
    return [structlog.dev.ConsoleRenderer(colors=colours, repr_native_str=True, exception_formatter=plain)]


def _chosen(kind: type[T], text: str | None, default: T) -> T:
    try:
        return kind((text or "").strip().lower())
    except ValueError:
        return default
