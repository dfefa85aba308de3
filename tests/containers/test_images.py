"""What is in an image, what it may do, and how it starts and ends."""

import json
import re
import subprocess
import time
from typing import Any

import pytest
from tests.support.compose import PROGRAMS, SERVICES, Project, docker, inspected

CONFINED = ("--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges:true")
_LOCAL = (
    "-e=STORAGE_BACKEND=local",
    "-e=TEMP_FOLDER=/tmp/temporary",
    "-e=INCOMING_FOLDER=/tmp/incoming",
    "-e=ACTIVE_FOLDER=/tmp/active",
    "-e=API_SECRET_KEY=made-up",
    "-e=RABBITMQ_URL=amqp://nobody:nothing@127.0.0.1:9/",
)
_NO_STORE = (
    "-e=STORAGE_BACKEND=s3",
    "-e=INCOMING_BUCKET=incoming",
    "-e=ACTIVE_BUCKET=active",
    "-e=INCOMING_PREFIX=STORE",
    "-e=ACTIVE_PREFIX=STORE",
    "-e=STORE_ENDPOINT=http://127.0.0.1:9",
    "-e=STORE_ACCESS_KEY_ID=nobody",
    "-e=STORE_SECRET_KEY=nothing",
)
# Prints, as JSON, what a stranger who got in would look for.
LOOK = """
import importlib.util, json, os, shutil
def writable(folder):
    try:
        os.remove(os.open(folder + "/probe", os.O_CREAT) and folder + "/probe")
    except OSError:
        return False
    return True
print(json.dumps({
    "user": os.getuid(),
    "packages": [name for name in ("ingest", "resizer", "publisher", "migrator", "standalone", "pip", "flit_core")
                 if importlib.util.find_spec(name)],
    "programs": [name for name in ("gcc", "cc", "make", "ld", "as") if shutil.which(name)],
    "writable": [folder for folder in ("/", "/opt", "/opt/image-backend", "/etc", "/var/tmp", "/home", "/data", "/tmp")
                 if os.path.isdir(folder) and writable(folder)],
}))
"""


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_is_in_an_image(project: Project, program: str) -> None:
    image = project.image(program)
    found = json.loads(docker("run", "--rm", *CONFINED, "--entrypoint=python", image, "-c", LOOK))
    assert found == {"user": 10001, "packages": [program], "programs": [], "writable": ["/tmp"]}
    labels = inspected(image)["Config"]["Labels"]
    assert labels["org.opencontainers.image.title"] == f"image-backend-{program}"
    assert labels["org.opencontainers.image.version"] == project.name
    licences = docker("run", "--rm", *CONFINED, "--entrypoint=cat", image, "/usr/share/doc/image-backend/licences")
    assert re.search(r"^  aiohttp [0-9.]+: Apache-2\.0 AND MIT$", licences, re.MULTILINE)
    assert ("\n  asyncpg " in licences) == (program == "migrator")
    print(f"\n{program}: {inspected(image)['Size'] / 1e6:.0f} MB")


# What the standard `restricted` of Kubernetes asks of a pod, and besides a root file system that cannot be written to.
# Its seccomp profile, RuntimeDefault, is the engine's own; no option of ours takes it away.
_RESTRICTED = (*CONFINED, "--user=10001:10001")


@pytest.mark.parametrize("options", [(), _RESTRICTED], ids=["by default", "as a restricted pod"])
def test_all_walls_around_decoders_stand(project: Project, options: tuple[str, ...]) -> None:
    image = project.image("resizer")
    command = ["docker", "run", "--rm", *options, *_LOCAL, "-e=SANDBOX=required", image, "check"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    confined = r"^ok      decoding processes are confined \(landlock: [1-9][0-9]*, seccomp: on\)$"
    assert re.search(confined, done.stdout, re.MULTILINE), done.stdout + done.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_without_its_settings_it_stops_at_once_and_says_which(project: Project, program: str) -> None:
    command = ["docker", "run", "--rm", *CONFINED, project.image(program)]
    command += ["migrate"] if program == "migrator" else []
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2, done.stderr
    for name in ("RABBITMQ_URL", "STORAGE_BACKEND"):
        assert f"{program}: {name} is not set: expected" in done.stderr


@pytest.mark.parametrize("name", ["API_SECRET_KEY", "RABBITMQ_PASSWORD", "RABBITMQ_URL"])
def test_there_is_no_secret_by_default(project: Project, name: str) -> None:
    without = Project()
    without.environment = {key: value for key, value in project.environment.items() if key != name}
    status, said = without.run("up", "-d")
    assert status != 0
    assert name in said
    assert "deploy/secrets" in said


@pytest.mark.parametrize(
    ("service", "settings", "what"),
    [
        ("resizer", _LOCAL, "broker"),
        ("publisher", (*_LOCAL, *_NO_STORE), "storage"),
        ("ingest", (*_LOCAL, *_NO_STORE, "-e=ROUTE_PREFIX=/images"), "storage"),
    ],
)
def test_what_is_not_up_yet_is_waited_for_and_named(
    project: Project, service: str, settings: tuple[str, ...], what: str
) -> None:
    container = docker("run", "-d", *CONFINED, *settings, project.image(service))
    try:
        said = _unready(container, what)
        assert said["ready"] is False
        assert said[what] == f"the {what} cannot be used just now; the log says why"
        assert inspected(container)["State"]["Running"], "it waits"
    finally:
        docker("rm", "-f", "-v", container)


def _unready(container: str, what: str) -> dict[str, Any]:
    """What the image's own check printed when it first knew of `what`."""
    deadline = time.monotonic() + 60
    while True:
        checks = inspected(container)["State"]["Health"]["Log"]
        answers = [json.loads(check["Output"]) for check in checks if check["Output"].startswith("{")]
        if answers and "yet" not in answers[-1][what]:
            assert all(check["ExitCode"] for check in checks)
            found: dict[str, Any] = answers[-1]
            return found
        assert time.monotonic() < deadline, checks
        time.sleep(0.5)


@pytest.mark.parametrize("service", SERVICES)
def test_sigterm_reaches_the_service_itself(project: Project, service: str) -> None:
    container = docker("run", "-d", *CONFINED, *_LOCAL, project.image(service))
    try:
        deadline = time.monotonic() + 60
        while '"started"' not in docker("logs", container):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        docker("stop", "-t", "30", container)
        assert inspected(container)["State"]["ExitCode"] == 0
        assert '"event": "stopped"' in docker("logs", container)
    finally:
        docker("rm", "-f", "-v", container)
