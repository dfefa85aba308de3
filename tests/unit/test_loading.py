"""What a deployment does not use is not loaded: a start is quicker, and takes less memory."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("service", ["standalone", "ingest", "resizer", "publisher", "migrator"])
def test_the_libraries_of_brokers_stores_and_collectors_are_loaded_where_the_settings_name_one(service: str) -> None:
    libraries = {"aio_pika", "botocore", "aiobotocore", "opentelemetry"}
    look = f"import sys, {service}.__main__; print({libraries} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", look], check=True, capture_output=True, text=True)
    assert shown.stdout == "set()\n"
