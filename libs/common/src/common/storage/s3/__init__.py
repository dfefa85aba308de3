"""Buckets on an S3 server. The only package that knows aiobotocore."""

from common.storage.s3.account import S3Account, connect
from common.storage.s3.storage import S3Storage

__all__ = ["S3Account", "S3Storage", "connect"]
