"""What is searched here is orders of steps: nobody waits for a clock."""

import pytest
from tests.support.instant_loop import InstantLoop


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, type[InstantLoop]]:  # noqa: ARG001 - the hook's name
    return {"instant": InstantLoop}
