"""The same with both buckets on an S3 server in a container of its own."""

from collections.abc import Iterator

import pytest
from tests.containers.test_stack import run_client_suite
from tests.support.compose import STORE, Project, docker
from tests.support.docker import can_get


@pytest.fixture(scope="module")
def on_s3(project: Project) -> Iterator[Project]:
    files, keys = ["deploy/compose-s3.yml"], {}
    if not can_get(STORE):
        files.append("tests/containers/compose-ceph.yml")
        keys = {"STORE_ACCESS_KEY_ID": "images", "STORE_SECRET_KEY": "images-secret"}  # the only ones that it knows
    print(f"\nthe S3 server: {'Ceph, in the place of ' if keys else ''}{STORE}")
    found = Project(*files, VERSION=project.name, GENERATE_WEBP="1", **{"STORE_SECRET_KEY": project.secret, **keys})
    try:
        found.up()
        yield found
    finally:
        found.down()


def test_the_client_suite_on_s3(on_s3: Project) -> None:
    run_client_suite(on_s3, f"http://127.0.0.1:{on_s3.store_port}/active")


def test_the_store_does_what_the_rules_need(on_s3: Project) -> None:
    (publisher,) = on_s3.containers("publisher")
    assert "FAILED" not in docker("exec", publisher, "/opt/image-backend/bin/service", "check")
