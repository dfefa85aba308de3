"""Creates the two buckets that the settings name, and allows anonymous access to the public one."""

import asyncio
import json
import os
import sys
import time

from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError, ClientError

_START_SECONDS = 60.0  # that a server may take to start
_THERE = ("BucketAlreadyOwnedByYou", "BucketAlreadyExists")


async def make() -> None:
    """Create the buckets. Raises ClientError, BotoCoreError."""
    async with get_session().create_client(
        "s3",
        endpoint_url=os.environ["STORE_ENDPOINT"],
        aws_access_key_id=os.environ["STORE_ACCESS_KEY_ID"],
        aws_secret_access_key=os.environ["STORE_SECRET_KEY"],
        region_name=os.environ["STORE_DEFAULT_REGION"],
    ) as client:
        for name in (os.environ["INCOMING_BUCKET"], os.environ["ACTIVE_BUCKET"]):
            try:
                await client.create_bucket(Bucket=name)
            except ClientError as error:
                if error.response["Error"]["Code"] not in _THERE:
                    raise
            print(f"the bucket {name} is there", flush=True)
        public = os.environ["ACTIVE_BUCKET"]
        read = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{public}/*"}
        try:
            await client.get_bucket_policy(Bucket=public)
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchBucketPolicy":
                raise
            policy = json.dumps({"Version": "2012-10-17", "Statement": [read]})
            await client.put_bucket_policy(Bucket=public, Policy=policy)
            print(f"everybody can read what is in {public}", flush=True)


async def main() -> None:
    """Try for up to a minute."""
    end = time.monotonic() + _START_SECONDS
    while True:
        try:
            await make()
        except (ClientError, BotoCoreError) as error:
            if time.monotonic() > end:
                sys.exit(f"the buckets cannot be made: {error}")
            await asyncio.sleep(1)
        else:
            return


asyncio.run(main())
