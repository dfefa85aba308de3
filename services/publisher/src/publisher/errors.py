"""Why a command cannot be done, whoever asks for it."""

from common.errors import Permanent


class ImageUnknown(Permanent):
    """There is no such image, or it was deleted."""


class ImageExpired(Permanent):
    """The image was not activated in time."""


class ImageFailed(Permanent):
    """The image cannot be shown; the message is the record's reason."""


class EditImpossible(Permanent):
    """The image is not of a kind with which this can be done."""
