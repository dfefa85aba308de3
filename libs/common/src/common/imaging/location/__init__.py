"""Removing the location from an original's metadata: coordinates and place names.

No pixel is decoded or encoded, and the orientation stays. A metadata block that can be parsed loses the location alone.
A block that cannot be parsed is removed as a whole.
"""

from common.imaging.location.strip import Stripped, strip_location

__all__ = ["Stripped", "strip_location"]
