"""A site that moves: its v5 database, where its originals are, and the image backend that it moves to."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.deployment import Deployment
from tests.support.pictures import photo
from tests.support.postgres import V5Database, v5_database
from tests.support.preloaded import run_loaded

from common.images.names import ImageKey

PHOTO = photo(320, 240)


@dataclass
class Run:
    """A run of a command that has ended."""

    status: int
    output: str
    errors: str
    report: list[dict[str, Any]] = field(default_factory=list)

    @property
    def totals(self) -> str:
        """The line of the totals."""
        return next(line for line in self.output.splitlines() if line.startswith("Images: "))

    def line(self, image: str) -> dict[str, Any]:
        """The one line of the report about this image."""
        (found,) = [line for line in self.report if line["image"] == image]
        return found


@dataclass
class Moving:
    """The old site and the new one."""

    deployment: Deployment
    database: V5Database

    async def migrate(self, *options: str, **settings: str) -> Run:
        """Run `python -m migrator migrate` to its end."""
        return await self.command("migrator", "migrate", *options, **settings)

    async def command(self, service: str, name: str, *options: str, **settings: str) -> Run:
        """Run `python -m SERVICE NAME` to its end, with a report."""
        command = service, name, *self._reported(options)
        environment = self._environment(settings)
        ended = await run_loaded(*command, environment=environment, folder=self.deployment.folder)
        return Run(ended.returncode, ended.stdout, ended.stderr, self._report())

    async def begin(self, service: str, name: str, *options: str, **settings: str) -> asyncio.subprocess.Process:
        """Start `python -m SERVICE NAME`."""
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            service,
            name,
            *self._reported(options),
            env=self._environment(settings),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=self.deployment.folder,
        )

    def _environment(self, settings: dict[str, str]) -> dict[str, str]:
        return self.deployment.environment | {"V5_DATABASE_URL": self.database.url} | settings

    def _reported(self, options: Sequence[str]) -> list[str]:
        self.report_file.unlink(missing_ok=True)
        return ["--report", str(self.report_file), *options]

    @property
    def report_file(self) -> Path:
        """Where the reports go."""
        return self.deployment.folder / "report.jsonl"

    def _report(self) -> list[dict[str, Any]]:
        if not self.report_file.exists():
            return []
        return [json.loads(line) for line in self.report_file.read_text().splitlines()]


@asynccontextmanager
async def moving(kind: str, folder: Path, **settings: str) -> AsyncIterator[Moving]:
    """An empty new site of this kind, not started yet, and an empty v5 database."""
    async with Deployment.prepared(kind, folder, **settings) as deployment, v5_database() as database:
        yield Moving(deployment, database)


def complete(*names: str) -> set[str]:
    """All keys of these images."""
    images = [ImageKey.parse(name) for name in names]
    return {key for image in images for key in (str(image), f"{image.name}.json", *_variants(image))}


def _variants(image: ImageKey) -> list[str]:
    return [image.variant_key(suffix) for suffix in ("BI", "MI", "SI")]
