"""What commands that go through very many images share: options, outcomes, progress, retries and a temporary index."""

from common.jobs.command import NOT_POSSIBLE, Command, job_command
from common.jobs.options import Options, add_common_options, add_options, options_from, positive_int
from common.jobs.outcome import Outcome, Result
from common.jobs.run import process_all, retry_transient
from common.jobs.tally import Tally, open_tally
from common.jobs.temporary_index import TemporaryIndex
from common.jobs.thumbnails import Thumbnails

__all__ = [
    "NOT_POSSIBLE",
    "Command",
    "Options",
    "Outcome",
    "Result",
    "Tally",
    "TemporaryIndex",
    "Thumbnails",
    "add_common_options",
    "add_options",
    "job_command",
    "open_tally",
    "options_from",
    "positive_int",
    "process_all",
    "retry_transient",
]
