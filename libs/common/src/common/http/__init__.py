"""What the HTTP endpoints of all services have in common."""

from common.http.answers import fields
from common.http.app import Health, make_app, make_metrics_app
from common.http.bodies import Refused
from common.http.openapi import Route

__all__ = ["Health", "Refused", "Route", "fields", "make_app", "make_metrics_app"]
