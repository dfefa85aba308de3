"""What commands for very many images share: rendering, options, outcomes, progress, retries, a temporary index."""

from common.jobs.bulk_rendering import BulkRendering
from common.jobs.command import NOT_POSSIBLE, Command, job_command
from common.jobs.dead_letters import dead_letters_command
from common.jobs.options import (
    Options,
    add_common_options,
    add_options,
    age_seconds,
    image_key,
    options_from,
    positive_int,
)
from common.jobs.outcome import Outcome, Result
from common.jobs.program import Program
from common.jobs.run import process_all, retry_transient
from common.jobs.tally import Tally, open_tally
from common.jobs.temporary_index import TemporaryIndex

__all__ = [
    "NOT_POSSIBLE",
    "BulkRendering",
    "Command",
    "Options",
    "Outcome",
    "Program",
    "Result",
    "Tally",
    "TemporaryIndex",
    "add_common_options",
    "add_options",
    "age_seconds",
    "dead_letters_command",
    "image_key",
    "job_command",
    "open_tally",
    "options_from",
    "positive_int",
    "process_all",
    "retry_transient",
]
