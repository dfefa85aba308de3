"""What commands that go through very many images share: options, outcomes, progress, and going on after a kill."""

from common.jobs.command import NOT_POSSIBLE, Command, job_command
from common.jobs.ledger import Ledger
from common.jobs.options import Options, add_look_options, add_options, options_from, positive
from common.jobs.outcome import Outcome, Result
from common.jobs.run import Job, patiently, work_through
from common.jobs.tally import Tally, tallied
from common.jobs.thumbnails import Thumbnails

__all__ = [
    "NOT_POSSIBLE",
    "Command",
    "Job",
    "Ledger",
    "Options",
    "Outcome",
    "Result",
    "Tally",
    "Thumbnails",
    "add_look_options",
    "add_options",
    "job_command",
    "options_from",
    "patiently",
    "positive",
    "tallied",
    "work_through",
]
