"""What an operator reads on standard error, by LOG_LEVEL, LOG_FORMAT and where it goes."""

import asyncio
import json
import sys
from pathlib import Path

import pytest
from tests.support.commands import run
from tests.support.deployment import Deployment
from tests.support.pictures import photo
from tests.support.preloaded import AS_DEPLOYED
from tests.support.terminal import shown

COLOUR = "\x1b["
WARNS = {"BUCKET_DATABASE_URL": "postgresql://old"}  # obsolete: reading it writes a line
CLEAN = ("standalone", "clean")
# One line of each kind: of ours with a trace and with what a client may send, and of a library.
WRITES = """
import logging
from common.logs import configure_logs
import structlog
configure_logs("ingest")
log = structlog.get_logger()
log.debug("the debug line")
log.info("the info line", path="/\\x1b[31m\\nred")
logging.getLogger("asyncio").warning("the library's line")
secret = "do not tell"
try:
    raise ValueError("the cause")
except ValueError:
    log.exception("the error line")
"""


async def written(**settings: str) -> list[str]:
    """What is written where no terminal is, line by line."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITES, env=AS_DEPLOYED | settings, stderr=asyncio.subprocess.PIPE
    )
    _, lines = await process.communicate()
    return lines.decode().splitlines()


@pytest.mark.parametrize("settings", [{}, {"LOG_FORMAT": ""}, {"LOG_FORMAT": "JSON"}], ids=["unset", "empty", "given"])
async def test_without_a_terminal_each_line_is_json_and_has_its_trace_within(settings: dict[str, str]) -> None:
    lines = [json.loads(line) for line in await written(**settings)]
    assert [line["event"] for line in lines] == ["the info line", "the library's line", "the error line"]
    assert [line["level"] for line in lines] == ["info", "warning", "error"]
    assert all(line["service"] == "ingest" and line["timestamp"].endswith("Z") for line in lines)
    assert lines[0]["path"] == "/\x1b[31m\nred"
    assert "Traceback" in lines[2]["exception"]
    assert "ValueError: the cause" in lines[2]["exception"]


async def test_as_text_a_client_writes_no_line_and_no_colour_and_a_trace_shows_no_value() -> None:
    lines = await written(LOG_FORMAT="console")
    assert "the info line" in lines[0]
    assert "path='/\\x1b[31m\\nred'" in lines[0]
    text = "\n".join(lines)
    assert COLOUR not in text, "no terminal, no colours"
    assert "ValueError: the cause" in text
    assert "do not tell" not in text.replace('secret = "do not tell"', "")


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("debug", ["the debug line", "the info line", "the library's line", "the error line"]),
        ("WARNING", ["the library's line", "the error line"]),
        ("error", ["the error line"]),
    ],
)
async def test_less_important_lines_are_left_out(level: str, expected: list[str]) -> None:
    assert [json.loads(line)["event"] for line in await written(LOG_LEVEL=level)] == expected


async def test_on_a_terminal_it_is_coloured_text_unless_somebody_wants_it_otherwise(tmp_path: Path) -> None:
    async with Deployment.prepared("embedded", tmp_path) as deployment:
        given = deployment.environment | WARNS
        _, text = await shown(*CLEAN, environment=given, folder=tmp_path)
        assert COLOUR in text.partition("an obsolete setting is ignored")[0]
        _, text = await shown(*CLEAN, environment=given | {"NO_COLOR": "1"}, folder=tmp_path)
        assert "warning" in text.partition("an obsolete setting is ignored")[0]
        assert COLOUR not in text.partition("an obsolete setting is ignored")[0]
        _, text = await shown(*CLEAN, environment=given | {"LOG_FORMAT": "json"}, folder=tmp_path)
        first = next(json.loads(line) for line in text.splitlines() if line.startswith("{"))
        assert first["event"] == "an obsolete setting is ignored"


async def test_what_is_no_level_or_format_stops_the_start(tmp_path: Path) -> None:
    async with Deployment.prepared("embedded", tmp_path) as deployment:
        refused = await run(deployment, *CLEAN, LOG_LEVEL="loud", LOG_FORMAT="xml")
        assert refused.status == 2
        assert refused.errors.splitlines() == [
            "standalone: LOG_LEVEL 'loud' cannot be used: expected debug, info, warning or error",
            "standalone: LOG_FORMAT 'xml' cannot be used: expected json or console",
        ]


async def test_looks_at_a_service_s_health_have_a_line_only_for_those_who_want_all(tmp_path: Path) -> None:
    async with Deployment.prepared("embedded", tmp_path) as deployment:
        for level, has_health in (("", False), ("debug", True)):
            await deployment.start(LOG_LEVEL=level)
            await deployment.uploaded(photo(300, 200))
            process = deployment.processes["standalone"]
            await process.terminate()
            paths = {line["path"] for line in process.lines() if line["event"] == "answered"}
            assert paths == {"/upload", "/readyz"} if has_health else {"/upload"}
