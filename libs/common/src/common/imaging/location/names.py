"""Which property names stand for a location."""

import re

# Of the name without its prefix: EXIF's GPS* in XMP, IPTC's place names, what drones write (GpsLatitude,
# AbsoluteAltitude), the W3C's geo:lat and geo:long, and Darwin Core's.
_LOCATION = re.compile(
    r"gps|latitude|longitude|longtitude|altitude|location|geotag|geohash|coordinate"
    r"|^(lat|lon|long|(?-i:alt)|city|county|municipality|locality|state|stateprovince|provincestate"
    r"|country|countrycode|countryname|worldregion)$",
    re.IGNORECASE,
)


def tells_location(name: str) -> bool:
    """Whether a property of this name, with or without a prefix, tells where a photo was taken, or what it shows."""
    return _LOCATION.search(name.rpartition(":")[2]) is not None
