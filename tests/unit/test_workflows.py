"""What the workflows install, publish and refuse is what the rest of the repository says."""

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from tests.support.compose import PROGRAMS, pinned_base

WORKFLOWS = {path.stem: YAML(typ="safe").load(path) for path in Path(".github/workflows").glob("*.yml")}
IMAGES = {*PROGRAMS, "standalone"}


def jobs(workflow: str) -> dict[str, Any]:
    found: dict[str, Any] = WORKFLOWS[workflow]["jobs"]
    return found


def steps(job: dict[str, Any]) -> list[str]:
    """What its steps run, or the actions that they use."""
    return [step.get("run", step.get("uses")) for step in job.get("steps", [])]


def waits_for(workflow: str, name: str) -> set[str]:
    """The jobs that have to succeed before this one begins."""
    needed = jobs(workflow)[name].get("needs", [])
    direct = {needed} if isinstance(needed, str) else set(needed)
    return direct.union(*(waits_for(workflow, before) for before in direct))


def test_the_base_is_a_version_of_debian_that_the_documents_name_and_pinned() -> None:
    tag, _, digest = pinned_base().partition("@")
    assert re.fullmatch(r"python:3\.\d+-slim-trixie", tag)
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", digest)
    assert f"`{tag}`" in Path("docs/containers.md").read_text()


@pytest.mark.parametrize("job", ["test", "containers"])
def test_what_tests_need_is_installed_from_one_list(job: str) -> None:
    commands = steps(jobs("check")[job])
    # Before, the environment is made by who runs the tests, and not by root.
    assert commands.index("sudo make servers") > commands.index("make check" if job == "test" else "make unit")
    assert commands[-1].startswith("make ")


def test_no_workflow_has_a_list_of_its_own() -> None:
    assert not [name for name in WORKFLOWS for job in jobs(name).values() if "apt-get" in "".join(steps(job))]


def test_every_image_is_released_for_both_architectures() -> None:
    matrix = jobs("release")["build"]["strategy"]["matrix"]
    assert set(matrix["service"]) == IMAGES == set(WORKFLOWS["release"]["env"]["SERVICES"].split())
    machines = {machine["runner"]: machine["architecture"] for machine in matrix["machine"]}
    assert sorted(machines.values()) == ["amd64", "arm64"]
    assert {job["runs-on"] for job in jobs("check").values()} == machines.keys()
    (tagging,) = [step for step in steps(jobs("release")["publish"]) if "imagetools" in step]
    assert {f'"$image-{architecture}"' for architecture in machines.values()} <= set(tagging.split())


def test_nothing_is_released_before_tests_version_and_scan() -> None:
    assert jobs("release")["check"]["uses"].endswith("/.github/workflows/check.yml")
    assert 'python3 deploy/release.py "$TAG"' in steps(jobs("release")["version"])
    assert waits_for("release", "build") >= {"version", "check"}
    assert "build" in waits_for("release", "publish")
    assert any("anchore/scan-action@" in step for step in steps(jobs("release")["build"]))


def test_released_images_bring_a_bill_of_materials_and_their_provenance() -> None:
    (build,) = [step for step in steps(jobs("release")["build"]) if "buildx build" in step]
    assert {"--sbom=true", "--provenance=mode=max"} <= set(build.split())
    labels = re.findall(r"^ARG (VERSION|REVISION|SOURCE)=", Path("deploy/Dockerfile").read_text(), re.MULTILINE)
    assert all(f'--build-arg {name}="' in build for name in labels)
