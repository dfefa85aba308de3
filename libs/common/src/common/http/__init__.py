"""What the HTTP endpoints of all services have in common."""

from common.http.answers import Refused, fields
from common.http.app import Health, make_app, make_metrics_app

__all__ = ["Health", "Refused", "fields", "make_app", "make_metrics_app"]
