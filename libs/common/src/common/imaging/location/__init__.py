"""Removing the position from an original's metadata: where the photo was taken, in coordinates and in names of places.

No pixel is decoded or encoded, and the orientation stays. Metadata that is understood keeps everything else. A block
that is not understood for certain is removed as a whole.
"""

from common.imaging.location.strip import Stripped, strip_location

__all__ = ["Stripped", "strip_location"]
