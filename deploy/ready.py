"""The health check of a container: prints what the service answers to `/readyz`; exits with 0 if it is ready, else 1.

It asks `/readyz`, because Docker does not restart a container that is not healthy: it only delays what depends on the
service, and shows what is printed here. An orchestrator that restarts unhealthy containers should ask `/livez`.
"""

import http.client
import os
import sys

connection = http.client.HTTPConnection("127.0.0.1", int(os.environ.get("SERVICE_PORT") or 8080), timeout=8)
prefix = os.environ.get("ROUTE_PREFIX", "").strip("/")
# The resizer has no clients, and therefore no prefix.
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
