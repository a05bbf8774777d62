"""A server of the S3 protocol on this machine, in memory, for whoever reads the AWS_* variables."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def s3_server(*buckets: str) -> Iterator[str]:
    """Yield the address of a server that has these buckets.

    While it runs, the environment of this process and its children names it and its keys, for
    boto3 (MLflow) and for Arrow (Ray).
    """
    boto3 = pytest.importorskip("boto3")
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # else a line for each request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    named = {
        "AWS_ACCESS_KEY_ID": "amad",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": address,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("AWS_", "MLFLOW_S3_"))]:
            patch.delenv(name)
        for name, value in named.items():
            patch.setenv(name, value)
        try:
            client = boto3.client("s3")
            for bucket in buckets:
                client.create_bucket(Bucket=bucket)
            yield address
        finally:
            server.stop()


def keys(bucket: str, prefix: str = "") -> list[str]:
    """The names of all objects of a bucket, sorted."""
    import boto3

    pages = boto3.client("s3").get_paginator("list_objects_v2")
    found = pages.paginate(Bucket=bucket, Prefix=prefix)
    return sorted(item["Key"] for page in found for item in page.get("Contents", ()))
