"""The containers of docker-compose.yml as a project of its own: its name, its ports, its images; nothing stays."""

import json
import os
import re
import subprocess
import time
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.support.docker import can_get, has_engine
from tests.support.servers import RUN, free_port, to_stop

# What runs beside the images.
BASES = ("rabbitmq:4.1-management", "nginx:1.28", "postgres:17")
STORE = "ghcr.io/versity/versitygw:v1.8.0"
STORE_BASE = "debian:bookworm-slim"  # of what stands in for it
SERVICES = ("ingest", "resizer", "publisher")
PROGRAMS = (*SERVICES, "migrator")
PROMETHEUS = "prom/prometheus:v3.5.0"
_HEALTHY_SECONDS = 180


def why_not() -> str:
    """Why containers cannot be tested here; empty where they can."""
    if not has_engine():
        return "there is no Docker engine"
    missing = [image for image in BASES if not can_get(image)]
    if python_base() is None:
        missing.append(pinned_base())
    if not (can_get(STORE) or can_get(STORE_BASE)):
        missing.append(STORE)
    return f"the Docker engine cannot get {', '.join(missing)}" if missing else ""


@cache
def python_base() -> str | None:
    """What images are built on: the Dockerfile's base, or one with its or an older tag, where nothing is pulled."""
    pinned = pinned_base()
    candidates = (pinned, pinned.partition("@")[0], "python:3.13-slim-bookworm")
    return next((image for image in candidates if can_get(image)), None)


def pinned_base() -> str:
    """The Dockerfile's base, with its digest."""
    found = re.search(r"^ARG PYTHON=(\S+)$", Path("deploy/Dockerfile").read_text(), re.MULTILINE)
    assert found
    return found[1]


@cache
def _program() -> tuple[str, ...]:
    plugin = subprocess.run(["docker", "compose", "version"], check=False, capture_output=True)
    return ("docker", "compose") if plugin.returncode == 0 else ("docker-compose",)


def docker(*arguments: str) -> str:
    """What `docker` prints on both of its outputs. Fails the test when it fails."""
    done = subprocess.run(["docker", *arguments], check=False, stdout=-1, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stdout}"
    return done.stdout.strip()


class Project:
    """One project. `settings` are its environment, beside secrets of its own."""

    def __init__(self, *files: str, **settings: str) -> None:
        self.name = f"image-backend-{uuid4().hex[:8]}"
        to_stop(self.name, {"project": self.name})
        self.port, self.store_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.secret = uuid4().hex
        password = uuid4().hex
        self.environment = os.environ | {
            "COMPOSE_PROJECT_NAME": self.name,
            "COMPOSE_FILE": os.pathsep.join(("docker-compose.yml", *files)),
            "VERSION": self.name,
            "DEMO_PAGE": "1",
            "UPLOAD_WAIT": "0",  # what is tried meanwhile is the time between an upload and its variants
            "GATEWAY_PORT": f"127.0.0.1:{self.port}",
            "STORE_PORT": f"127.0.0.1:{self.store_port}",
            "API_SECRET_KEY": self.secret,
            "RABBITMQ_PASSWORD": password,
            "RABBITMQ_URL": f"amqp://images:{password}@rabbitmq:5672/",
            "V5_DATABASE_PASSWORD": password,
            "V5_DATABASE_URL": f"postgresql://v5:{password}@v5-database:5432/v5",
            **settings,
        }

    def run(self, *arguments: str) -> tuple[int, str]:
        """Exit status of a compose command, and what it printed."""
        # Nothing of the settings that somebody has in a file of their own.
        nothing = Path(os.environ[RUN]) / "no-settings"
        nothing.touch()
        command = [*_program(), "--env-file", str(nothing), *arguments]
        done = subprocess.run(
            command, check=False, stdout=-1, stderr=subprocess.STDOUT, text=True, env=self.environment
        )
        return done.returncode, done.stdout

    def must(self, *arguments: str) -> str:
        """What a compose command that must succeed printed."""
        status, said = self.run(*arguments)
        assert status == 0, f"{' '.join(arguments)}: {said}"
        return said

    def image(self, program: str) -> str:
        """The name of a program's image in this project."""
        return f"localhost/image-backend/{program}:{self.environment['VERSION']}"

    def build(self, *services: str) -> None:
        """Build the images of these services, or all."""
        self.must("--profile", "migration", "build", f"--build-arg=PYTHON={python_base()}", *services)

    def up(self, **scale: int) -> None:
        """Bring it up, with so many containers of a service, and wait until all are healthy."""
        scales = [f"--scale={service}={count}" for service, count in scale.items()]
        self.must("up", "-d", *scales)
        self.wait_healthy()

    def scale(self, service: str, count: int) -> None:
        """So many containers of one service, all healthy."""
        self.must("up", "-d", "--no-deps", "--no-recreate", f"--scale={service}={count}", service)
        self.wait_healthy(service)

    def containers(self, *services: str) -> list[str]:
        """The containers of these services, or of all."""
        return self.must("ps", "-q", *services).split()

    def wait_healthy(self, *services: str) -> None:
        """Wait until every container that has something to say about its health says that it is well."""
        deadline = time.monotonic() + _HEALTHY_SECONDS
        while ill := [state for state in map(inspected, self.containers(*services)) if not _is_well(state["State"])]:
            assert time.monotonic() < deadline, [(state["Name"], state["State"]) for state in ill]
            time.sleep(0.5)

    def logged(self, service: str) -> list[tuple[str, dict[str, Any]]]:
        """What the service's containers have logged: container and line."""
        lines = []
        for container in self.containers(service):
            said = docker("logs", container).splitlines()
            lines += [(container, json.loads(line)) for line in said if line.startswith("{")]
        return lines

    def down(self) -> None:
        """Take everything down: nothing of it may stay."""
        self.must(
            "--profile", "migration", "--profile", "jobs", "--profile", "monitoring", "down", "-v", "--remove-orphans"
        )
        assert self.left() == []

    def forget_images(self) -> None:
        """Remove the names of its images; their layers stay, for the next build."""
        names = docker(
            "images",
            "--filter",
            f"reference=localhost/image-backend/*:{self.name}*",
            "--format",
            "{{.Repository}}:{{.Tag}}",
        )
        docker("rmi", "--no-prune", *names.split())

    def left(self) -> list[str]:
        """What is still there of it."""
        label = f"label=com.docker.compose.project={self.name}"
        kinds = (("ps", "-a"), ("volume", "ls"), ("network", "ls"))
        return [found for kind in kinds for found in docker(*kind, "-q", "--filter", label).split()]


def kill(project: Project, container: str) -> None:
    """Kill a container of the project, as a crash would."""
    kill_first_process(project.image("ingest"), container)


def kill_first_process(image: str, container: str) -> None:
    """Kill the container's first process, as a crash would: one that `docker kill` has ended is not started again."""
    first = inspected(container)["State"]["Pid"]
    end = f"import os; os.kill({first}, 9)"
    as_host = ("--pid=host", "--user=0", "--cap-add=KILL", "--security-opt=apparmor=unconfined")
    docker("run", "--rm", *as_host, "--entrypoint=python", image, "-c", end)


def inspected(identity: str) -> dict[str, Any]:
    """All that the engine knows of a container or an image."""
    found: dict[str, Any] = json.loads(docker("inspect", identity))[0]
    return found


def _is_well(state: dict[str, Any]) -> bool:
    if "Health" in state:
        return bool(state["Health"]["Status"] == "healthy")
    return bool(state["Running"] or state["ExitCode"] == 0)
