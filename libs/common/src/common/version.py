"""The version of the image backend, which all its packages have."""

from importlib.metadata import version

VERSION = version("image-backend-common")
