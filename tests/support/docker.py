"""Servers in containers, through testcontainers."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.support.servers import Started, Unavailable, stop, wait_for

# The reaper would end a server with the process that started it, while others still use it; the run removes its
# containers itself.
os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")


def has_engine() -> bool:
    """Whether a Docker engine answers."""
    try:
        found = subprocess.run(["docker", "info"], check=False, capture_output=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return found.returncode == 0


def can_get(image: str) -> bool:
    """Whether there is an engine that has the image, or can pull it."""
    if not has_engine():
        return False
    for command in (["docker", "image", "inspect", image], ["docker", "pull", "-q", image]):
        if subprocess.run(command, check=False, capture_output=True).returncode == 0:
            return True
    return False


def run_container(image: str, ports: list[int], environment: dict[str, str]) -> tuple[str, dict[int, str]]:
    """Start a container. Returns its id, and HOST:PORT for each of its ports. Raises Unavailable."""
    if not can_get(image):
        raise Unavailable(f"there is no Docker engine that can get {image}")
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415 - only where there is an engine

    container = DockerContainer(image).with_exposed_ports(*ports)
    for name, value in environment.items():
        container.with_env(name, value)
    try:
        container.start()
    except Exception as error:
        raise Unavailable(f"the image {image} cannot be run: {error}") from error
    host = container.get_container_host_ip()
    identity = container.get_wrapped_container().id
    return identity, {port: f"{host}:{container.get_exposed_port(port)}" for port in ports}


def build(tag: str, folder: Path) -> None:
    """Build the image in `folder`, or find it built. Raises Unavailable."""
    if not has_engine():
        raise Unavailable("there is no Docker engine")
    built = subprocess.run(
        ["docker", "build", "-q", "-t", tag, str(folder)], check=False, capture_output=True, text=True
    )
    if built.returncode:
        raise Unavailable(f"the image {tag} cannot be built: {built.stderr.strip()[-500:]}")


def logs(identity: str) -> str:
    """What the container has printed so far."""
    return subprocess.run(["docker", "logs", identity], check=False, capture_output=True, text=True).stdout


def runs_in(identity: str, command: list[str]) -> bool:
    """Whether the command succeeds in the container."""
    return subprocess.run(["docker", "exec", identity, *command], check=False, capture_output=True).returncode == 0


def ready(identity: str, addresses: dict[str, str], what: str, check: Callable[[], bool]) -> Started:
    """The container's addresses once `check` says it is there; the container is removed when it never is."""
    stopper = {"container": identity}
    try:
        wait_for(what, check)
    except Unavailable:
        stop(stopper)
        raise
    return addresses, stopper
