"""Removing where a photo was taken from an original, and nothing else that is understood.

No pixel is decoded or encoded, and the orientation stays. What is not understood for certain goes as a whole.
"""

from common.imaging.location.strip import Stripped, strip_location

__all__ = ["Stripped", "strip_location"]
