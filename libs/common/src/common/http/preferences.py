"""What a client prefers: the header `Prefer` of RFC 7240."""

from aiohttp import web

RESPOND_ASYNC = "respond-async"
WAIT = "wait"


def preferences(request: web.Request) -> dict[str, str]:
    """Preferences by name in small letters, with their values: "" where one has none, its first where it has two."""
    found: dict[str, str] = {}
    for one in ",".join(request.headers.getall("Prefer", [])).split(","):
        name, _, value = one.partition(";")[0].partition("=")
        found.setdefault(name.strip().lower(), value.strip().strip('"'))
    return found


def applied(preference: str) -> dict[str, str]:
    """The header that says which preference was followed."""
    return {"Preference-Applied": preference}
