"""Whose a cancellation is: libraries, too, end with CancelledError what they give up."""

import asyncio


def is_cancelled() -> bool:
    """Whether somebody cancels the current task. A CancelledError that comes without is no order to stop."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
