"""Where the buckets are: two folders, or two buckets on S3 servers with their accounts."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from common.settings.accounts import AccountSettings

_NEEDED = {"local": ("INCOMING_FOLDER", "ACTIVE_FOLDER"), "s3": ("INCOMING_BUCKET", "ACTIVE_BUCKET")}


@dataclass(frozen=True)
class LocalStorageSettings:
    """The two folders."""

    incoming: Path
    active: Path


@dataclass(frozen=True)
class BucketSettings:
    """One bucket on an S3 server. `prefix` is the beginning of its account's variables."""

    name: str
    prefix: str | None
    account: AccountSettings
    signature_version: str

    def is_same_bucket(self, other: "BucketSettings") -> bool:
        """Whether both name one bucket of one server."""
        return self.name == other.name and self.account.server == other.account.server

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class S3StorageSettings:
    """The two buckets on S3 servers."""

    incoming: BucketSettings
    active: BucketSettings


StorageSettings = LocalStorageSettings | S3StorageSettings


def storage_errors(given: Mapping[str, str]) -> list[str]:
    """A line for each variable that the kind of storage needs and that is not set."""
    backend = given.get("STORAGE_BACKEND", "")
    needed = _NEEDED.get(backend, ())
    return [f"{name} is not set: STORAGE_BACKEND={backend} needs it" for name in needed if name not in given]


def read_storage(given: Mapping[str, str], signature_version: str) -> StorageSettings:
    """Where the buckets are. The variables have been checked."""
    if given["STORAGE_BACKEND"] == "local":
        return LocalStorageSettings(Path(given["INCOMING_FOLDER"]), Path(given["ACTIVE_FOLDER"]))
    incoming, active = (
        read_bucket(given[f"{which}_BUCKET"], given.get(f"{which}_PREFIX"), given, signature_version)
        for which in ("INCOMING", "ACTIVE")
    )
    return S3StorageSettings(incoming, active)


def read_bucket(name: str, prefix: str | None, given: Mapping[str, str], signature_version: str) -> BucketSettings:
    """The bucket of this name, with the account in the variables that begin with the prefix."""
    return BucketSettings(name, prefix, AccountSettings.read(prefix, given), signature_version)
