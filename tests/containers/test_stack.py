"""The whole in containers, as an operator brings it up: its clients, its text, its jobs, its migration."""

import asyncio
import json
import os
import subprocess
import sys

import pytest
from tests.client.site import Site
from tests.support.compose import Project, inspected
from tests.support.eventually import eventually
from tests.support.pictures import opened

_TEXT = (
    b'<svg xmlns="http://www.w3.org/2000/svg" width="800" height="200"><rect width="800" height="200" fill="white"/>'
    b'<text x="20" y="140" font-size="120" font-family="sans-serif">Aiguille</text></svg>'
)
# As large as what it draws.
_UNSIZED = b'<svg xmlns="http://www.w3.org/2000/svg"><text x="0" y="80" font-size="72">Mont Blanc</text></svg>'
_MIGRATED = ("1162302513_1541936229.jpg", "1269453012_77.jpg", "1309872451_40318.png", "1334918220_903.svg")


def run_client_suite(project: Project, public: str) -> None:
    """The suite of tests/client against the gateway."""
    client_suite(project.url, project.secret, public)


def client_suite(url: str, secret: str, public: str) -> None:
    """The suite of tests/client against what runs at the address."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    # Not within this run's folder: the path of a browser's socket may have 107 bytes.
    environment.pop("TMPDIR", None)
    environment |= {"CLIENT_URL": url, "CLIENT_SECRET": secret, "CLIENT_PUBLIC_URL": public}
    suite = ["tests/client/test_access.py", "tests/client/test_calls.py", "tests/client/test_browser.py"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *suite]
    done = subprocess.run(command, check=False, stdout=-1, stderr=subprocess.STDOUT, text=True, env=environment)
    assert done.returncode == 0, done.stdout
    print(f"\nthe client suite: {done.stdout.strip().splitlines()[-1]}")


def test_the_client_suite(project: Project) -> None:
    run_client_suite(project, f"{project.url}/active")


def test_every_container_is_confined(project: Project) -> None:
    for container in map(inspected, project.containers()):
        name, host = container["Name"], container["HostConfig"]
        assert host["RestartPolicy"]["Name"] == "unless-stopped", name
        assert host["CapDrop"] == ["ALL"], name
        assert host["SecurityOpt"] == ["no-new-privileges:true"], name
        assert host["Memory"] > 0, name
        assert host["PidsLimit"] > 0, name
        if "rabbitmq" not in name:
            assert host["ReadonlyRootfs"] is True, name


async def test_text_is_drawn(site: Site) -> None:
    name = await site.published(_TEXT)
    _, data = await site.file(f"{name[:-4]}BI.jpg")
    picture = opened(data).colourspace("b-w")
    dark = (picture < 128).avg() / 255
    assert 0.03 < dark < 0.4, "letters, not boxes, and not nothing"
    unsized = await site.upload(_UNSIZED)
    await site.done("/publish", filename=unsized, crop="300x40+10+5")
    _, data = await site.file(f"{unsized[:-4]}BI.jpg")
    assert (opened(data).colourspace("b-w") < 128).max() == 255


@pytest.mark.parametrize(
    "job",
    [["resize", "--missing"], ["clean"], ["reconcile"], ["dead-letters"], ["trace", "1475660224_1.jpg"]],
    ids=lambda job: job[0],
)
def test_a_job_runs_and_is_done(project: Project, job: list[str]) -> None:
    status, said = project.run("run", "--rm", *job)
    assert status == 0, said
    assert "Traceback" not in said


async def test_migrating_runs_to_completion(project: Project, site: Site) -> None:
    for _ in range(2):  # again, and there is nothing left to do
        status, said = await asyncio.to_thread(project.run, "run", "--rm", "migrator", "migrate")
        assert status == 0, said
    for name in _MIGRATED:

        async def there(name: str = name) -> bool:
            extension = "jpg" if name.endswith("svg") else name[-3:]
            keys = {name} | {f"{name[:-4]}{suffix}.{extension}" for suffix in ("BI", "MI", "SI")}
            return await site.visible(*keys) == keys

        await eventually(there, name)
    found = await site.status(_MIGRATED[0])
    assert found["state"] == "active", json.dumps(found)


def test_a_migration_that_cannot_be_done_says_so(project: Project) -> None:
    wrong = "V5_DATABASE_URL=postgresql://v5:wrong@v5-database:5432/v5"
    status, said = project.run("run", "--rm", "-e", wrong, "migrator", "migrate")
    assert (status, "password authentication failed" in said) == (2, True), said
    status, said = project.run("run", "--rm", "-e", "V5_DATABASE_URL=", "migrator", "migrate")
    assert status == 2, said
    assert "V5_DATABASE_URL is not set" in said
