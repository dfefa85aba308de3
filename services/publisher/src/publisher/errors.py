"""Why a command cannot be done, whoever asks for it."""

from common.errors import Permanent


class Unknown(Permanent):
    """There is no such image, or it was deleted."""


class Expired(Permanent):
    """The image was not activated in time."""


class Failed(Permanent):
    """The image cannot be shown; the message is the record's reason."""


class Impossible(Permanent):
    """The image is not of a kind with which this can be done."""
