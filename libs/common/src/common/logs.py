"""Logs: one structured line per step, JSON for machines, coloured text on a terminal."""

import logging
import sys

import structlog


def configure_logs(service: str) -> None:
    """Send everything, the libraries' own messages included, to standard error in one form."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    human = sys.stderr.isatty()
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if human else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *([] if human else [structlog.processors.format_exc_info]),
                renderer,
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    for library in ("aiobotocore", "aiohttp", "asyncio", "botocore"):
        logging.getLogger(library).setLevel(logging.WARNING)
    for library in ("aio_pika", "aiormq"):
        # The link to the broker logs each loss of the connection itself, once.
        logging.getLogger(library).setLevel(logging.CRITICAL)
    structlog.contextvars.bind_contextvars(service=service)
