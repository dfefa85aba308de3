"""Whether the service in this container is ready, for the engine to ask: prints what it says, and exits with 0 or 1.

It asks `/readyz` and not `/livez`, because an engine starts nothing anew for it: it only holds back what depends on the
service, and shows what is printed here. Whatever ends containers that are not healthy should be told to ask `/livez`.
"""

import http.client
import os
import sys

connection = http.client.HTTPConnection("127.0.0.1", int(os.environ.get("SERVICE_PORT") or 8080), timeout=8)
prefix = os.environ.get("ROUTE_PREFIX", "").strip("/")
# The resizer has no clients, and so no prefix.
for path in ("/readyz", f"/{prefix}/readyz"):
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        said = answer.read().decode()
    except OSError as error:
        sys.exit(f"it does not answer: {error}")
    if answer.status != http.HTTPStatus.NOT_FOUND:
        break
print(said)
sys.exit(answer.status != http.HTTPStatus.OK)
