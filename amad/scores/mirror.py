"""Finished partitions copied to another storage, such as an object store, for those who read there.

    <address>/<fleet>/scores/model_version=<v>/date=<d>/part.parquet, _manifest.json
    <address>/<fleet>/incidents/model_version=<v>/date=<d>/incidents.parquet, incidents.jsonl

The bytes are those on disk. An object store has no rename, so the manifest makes a date whole: it
is deleted first and written last, and it names the hash of every file. Whoever finds a manifest
whose hashes agree reads one date of one job; without a manifest the date is being replaced.

What has been copied is remembered in ``mirrored.json``, so a job also copies what an earlier one,
killed or without a connection, left behind.
"""

import os
from contextlib import suppress
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.fs as pafs

from amad.config import DataError, ServiceError
from amad.config.digest import file_sha256, json_digest
from amad.scores import partitions
from amad.telemetry.files import read_json, write_json

MANIFEST = "_manifest.json"
ATTEMPTS = 3  # of a request to the object store; a night later the next job tries again


def mirror(runs: Path, address: str, fleet: str) -> list[date]:
    """Copy every finished partition that is not there yet, or was replaced; return their dates.

    address: a URL such as ``s3://bucket/folder`` or an absolute path. The caller holds the fleet's
    lock. Partitions that are gone on disk stay where they were copied to.

    Raises:
        ServiceError: the storage does not answer or refuses; what was copied is remembered.
    """
    memory = runs / "mirrored.json"
    known: dict = {}
    with suppress(DataError):  # then everything is copied once more
        known = read_json(memory, "delete it") or {}
    if known.get("address") != address:
        known = {"address": address, "manifests": {}}
    done: list[date] = []
    storage: tuple[pafs.FileSystem, str] | None = None
    for day, versions in partitions.manifests(runs).items():
        for version, manifest in versions.items():
            digest = json_digest(manifest.content())
            if known["manifests"].get(f"{version}/{day}") == digest:
                continue
            try:
                storage = storage or _open(address)
                _copy(*storage, fleet, runs, version, day, manifest.files)
            except (OSError, pa.ArrowException) as error:
                raise ServiceError(
                    f"the scores of {day} are published here and cannot be copied to {address} "
                    f"({' '.join(str(error).split())[:200]}); see that the storage answers and "
                    "takes these keys, and the next 'amad score' copies them, or take publish_to "
                    "out of the profile"
                ) from error
            known["manifests"][f"{version}/{day}"] = digest
            write_json(memory, known)
            done.append(day)
    return done


def _open(address: str) -> tuple[pafs.FileSystem, str]:
    """The storage and the folder in it. The server and keys of s3:// are those of ``AWS_*``."""
    if not address.startswith("s3://"):
        return pafs.FileSystem.from_uri(address)
    # Unlike from_uri, which also reads the server's address, this waits for a bounded time.
    server = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    storage = pafs.S3FileSystem(
        endpoint_override=server,
        retry_strategy=pafs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
        connect_timeout=10,
        request_timeout=60,
    )
    return storage, address.removeprefix("s3://")


def _copy(
    storage: pafs.FileSystem,
    root: str,
    fleet: str,
    runs: Path,
    version: str,
    day: date,
    hashes: dict[str, str],
) -> None:
    """Copy one partition, see the module's docstring for the order.

    Raises:
        OSError: the storage failed, or a file on disk is not the one that the manifest names.
    """

    def place(kind: str, name: str) -> str:
        return f"{root}/{fleet}/{kind}/model_version={version}/date={day}/{name}"

    manifest = place("scores", MANIFEST)
    if storage.get_file_info(manifest).type is not pafs.FileType.NotFound:
        storage.delete_file(manifest)
    for kind, name in (*partitions.FILES, ("scores", MANIFEST)):
        file = partitions.folder(runs, kind, version, day) / name
        if name != MANIFEST and file_sha256(file) != hashes.get(name):
            raise OSError(f"{file} is damaged; score the date again")
        target = place(kind, name)
        if isinstance(storage, pafs.LocalFileSystem):
            storage.create_dir(target.rpartition("/")[0])
        with file.open("rb") as source, storage.open_output_stream(target) as sink:
            while piece := source.read(1 << 22):
                sink.write(piece)
