"""Why a request or an event of the publisher is refused."""

from common.errors import Permanent


class ImageUnknown(Permanent):
    """There is no such image, or it was deleted."""


class UploadExpired(Permanent):
    """The image was not activated in time."""


class ImageFailed(Permanent):
    """The image cannot be shown; the message is the record's reason."""


class EditImpossible(Permanent):
    """The image does not allow the edit."""
