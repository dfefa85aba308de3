"""What the HTTP endpoints of all services have in common."""

from common.http.api.operation import Route
from common.http.app import Health, make_app, make_metrics_app
from common.http.bodies import RequestRefused
from common.http.fields import read_fields
from common.http.server import BoundedSite, most_connections

__all__ = [
    "BoundedSite",
    "Health",
    "RequestRefused",
    "Route",
    "make_app",
    "make_metrics_app",
    "most_connections",
    "read_fields",
]
