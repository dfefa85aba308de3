"""Hooks for schemathesis: most calls get the right secret and a real name, so that they come past the first checks."""

import os
import random
from typing import Any

import schemathesis

_SECRET = os.environ["FUZZ_SECRET"]
_NAMES = os.environ["FUZZ_NAMES"].split(",")


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: Any) -> None:
    if isinstance(case.body, dict) and "secret" in case.body and random.random() < 0.8:
        case.body["secret"] = _SECRET
        if isinstance(case.body.get("filename"), str) and random.random() < 0.5:
            case.body["filename"] = random.choice(_NAMES)
    if isinstance(case.path_parameters, dict) and "key" in case.path_parameters and random.random() < 0.5:
        case.path_parameters["key"] = random.choice(_NAMES)
