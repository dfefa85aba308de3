"""`python -m SERVICE check`: a line for each thing that was tried, on the real broker and the real store."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.deployment import KINDS, Deployment, keys
from tests.support.servers import free_port

from common.s3 import connect


@pytest.fixture(params=KINDS)
async def deployment(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Deployment]:
    async with Deployment.prepared(request.param, tmp_path) as prepared:
        yield prepared


async def check(deployment: Deployment, service: str, **settings: str) -> tuple[int, str]:
    """Exit status, and what was printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        service,
        "check",
        env=deployment.environment | settings,
        cwd=deployment.folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode() + err.decode()


async def test_all_is_well_and_nothing_is_left(deployment: Deployment) -> None:
    for service in deployment.services:
        status, printed = await check(deployment, service)
        assert status == 0, printed
        assert "FAILED" not in printed
        assert len([line for line in printed.splitlines() if line.startswith("ok ")]) >= 12
    assert await keys(deployment.buckets.incoming) == set()
    assert await keys(deployment.buckets.active) == set()


async def test_what_is_wrong_is_said(deployment: Deployment) -> None:
    service = deployment.services[0]
    status, printed = await check(deployment, service, STORAGE_BACKEND="")
    if deployment.kind != "embedded":
        assert (status, "STORAGE_BACKEND is not set" in printed) == (2, True), printed
        status, printed = await check(deployment, service, RABBITMQ_URL=f"amqp://guest:guest@127.0.0.1:{free_port()}/")
        assert (status, "FAILED  the broker" in printed) == (1, True), printed
        assert "ok      objects can be deleted" in printed, "the rest is looked at all the same"
    if deployment.s3:
        status, printed = await check(deployment, service, ACTIVE_BUCKET="not-there")
        assert (status, "FAILED  active can be reached" in printed) == (1, True), printed
        assert await keys(deployment.buckets.incoming) == set()


async def test_a_private_bucket_that_everybody_can_read(tmp_path: Path) -> None:
    async with Deployment.prepared("rabbit-s3", tmp_path) as deployment:
        assert deployment.s3 is not None
        bucket = deployment.s3.incoming
        rule = {"Effect": "Allow", "Principal": {"AWS": ["*"]}, "Action": ["s3:GetObject"]}
        policy = {"Version": "2012-10-17", "Statement": [rule | {"Resource": [f"arn:aws:s3:::{bucket}/*"]}]}
        async with connect(deployment.s3.account) as client:
            await client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
        status, printed = await check(deployment, "publisher")
        assert status == 1
        assert "FAILED  nobody else can read what is in incoming: anybody can read it" in printed
