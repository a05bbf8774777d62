"""The objects below one address: s3://, gs://, abfs://, file:// or an absolute path.

Keys and the server's address come from the environment, as the libraries of the three clouds read
them (for s3:// ``AWS_ENDPOINT_URL`` and ``AWS_ACCESS_KEY_ID`` and so on). A put is atomic.
"""

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from amad.config import ServiceError
from amad.config.console import track
from amad.telemetry.files import staged

T = TypeVar("T")
RETRIES = 3  # of a request to the storage
TOGETHER = 8  # requests at the same time


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One object as a listing tells it. etag: changes whenever the content does."""

    key: str
    size: int
    etag: str
    modified: datetime


class Objects:
    """The objects below ``address``; keys are relative to it and have ``/`` between their parts.

    Every method raises a ServiceError that names the address where the storage fails or refuses.
    """

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")
        with self._told():
            self._store = _open(self.address)

    def list(self, prefix: str = "") -> Iterator[Listed]:
        """Every object of which the key begins with ``prefix``, a whole folder's name."""
        with self._told():
            for found in self._store.list(prefix=prefix or None):
                yield from (_listed(item) for item in found)

    def level(self, folder: str) -> Iterator[Listed]:
        """Every object directly in a folder."""
        with self._told():
            for item in self._store.list_with_delimiter(prefix=folder)["objects"]:
                yield _listed(item)

    def read(self, key: str) -> bytes | None:
        """The content of an object; None where there is none."""
        with self._told():
            try:
                return bytes(self._store.get(key).bytes())
            except FileNotFoundError as error:
                if "NoSuchBucket" in str(error):
                    raise
                return None

    def create(self, key: str, content: bytes) -> bool:
        """Put an object if there is none with this key; is the content now there as given?

        Of several machines that create the same key at the same time, one is told True.
        """
        from obstore.exceptions import AlreadyExistsError

        with self._told():
            try:
                self._store.put(key, content, mode="create", use_multipart=False)
            except AlreadyExistsError:
                return self.read(key) == content  # an answer may have been lost on its way
        return True

    def put(self, key: str, content: bytes | Path) -> None:
        """Write an object in one piece; it replaces the one that is there."""
        with self._told():
            self._store.put(key, content)

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; one that is gone already is none."""
        with self._told():
            for key in keys:
                try:
                    self._store.delete(key)
                except FileNotFoundError:
                    continue

    def download(self, key: str, target: Path, sha256: str | None = None) -> str:
        """Bring an object to the disk, in one piece; returns its hash.

        Raises:
            FileNotFoundError: there is no such object.
            ServiceError: its content has another hash than ``sha256``.
        """
        digest = hashlib.sha256()
        with staged(target) as stage:
            with stage.open("wb") as file, self._told(missing=True):
                for piece in self._store.get(key).stream():
                    file.write(piece)
                    digest.update(piece)
            if sha256 not in (None, digest.hexdigest()):
                raise self.damaged(key)
        return digest.hexdigest()

    def damaged(self, key: str) -> ServiceError:
        """The error for an object whose content has another hash than what was put."""
        return ServiceError(
            f"{self.address}/{key} is damaged: it is not what was put there; bring the object "
            "back (an earlier version of it, where the bucket keeps versions)"
        )

    def all_at_once(self, work: Callable[[T], object], items: Iterable[T], what: str) -> None:
        """Do the work on each item, several at a time; the first error ends it."""
        items = list(items)
        if not items:
            return
        with ThreadPoolExecutor(TOGETHER) as pool:
            try:
                for _ in track(pool.map(work, items), what, len(items)):
                    pass
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    @contextmanager
    def _told(self, missing: bool = False) -> Iterator[None]:
        """missing: whether a FileNotFoundError is for the caller, unless the bucket is missing."""
        from obstore.exceptions import BaseError

        try:
            yield
        except (BaseError, FileNotFoundError, PermissionError, ValueError) as error:
            gone = isinstance(error, FileNotFoundError) and "NoSuchBucket" not in str(error)
            if missing and gone:
                raise
            raise ServiceError(
                f"the storage {self.address} does not answer or refuses ({_why(error)}); see that "
                "the place exists, that the keys in the environment are valid and may read and "
                "write there, and that this machine's clock is right; then run the command again"
            ) from error


def _why(error: Exception) -> str:
    """What the storage said: its code and message, where it sent them as XML."""
    text = " ".join(str(error).split("Debug source:")[0].split())
    if told := re.search(
        r"(\d{3} [\w ]+): <.*<Code>(.*?)</Code>(?:.*<Message>(.*?)</Message>)?", text
    ):
        return ", ".join(filter(None, told.groups()))[:300]
    return text[:300]


def _listed(item: Any) -> Listed:
    return Listed(
        key=item["path"],
        size=item["size"],
        modified=item["last_modified"],
        etag=item["e_tag"] or f"{item['size']}-{item['last_modified']}",
    )


def _open(address: str) -> Any:
    from obstore.store import from_url

    scheme = address.partition("://")[0] if "://" in address else ""
    if scheme in ("", "file"):
        folder = Path(address.removeprefix("file://")).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        return from_url(folder.as_uri())
    own: dict[str, Any] = {}
    if scheme == "s3":
        server = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        own = {"endpoint": server} if server else {}
    return from_url(
        address,
        # Plain http is for a server that the environment names so.
        client_options={"allow_http": True, "connect_timeout": "10s", "timeout": "120s"},
        retry_config={"max_retries": RETRIES, "retry_timeout": timedelta(minutes=3)},
        **own,
    )
