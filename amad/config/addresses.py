"""Addresses of object stores, as profiles and fleet files name them."""

from urllib.parse import urlsplit

STORAGES = ("file", "s3", "gs", "abfs", "abfss")
KEYS_ELSEWHERE = "the keys of an object store stand in the environment alone"


def known_address(address: str) -> str:
    """The address without a slash at its end.

    Raises:
        ValueError: it is of no known kind, or says what the environment says.
    """
    parts = urlsplit(address)
    if parts.scheme not in ("", *STORAGES):
        raise ValueError(f"is of no known kind; use an absolute path or {one_of(STORAGES)}")
    if parts.query:
        raise ValueError("takes no '?': name the server of s3:// with AWS_ENDPOINT_URL")
    return address.rstrip("/")


def has_password(address: object) -> bool:
    """Does a text that may be an address hold a password?"""
    return isinstance(address, str) and bool(urlsplit(address).password)


def one_of(schemes: tuple[str, ...]) -> str:
    """``a://, b:// or c://``."""
    *first, last = [f"{scheme}://" for scheme in schemes]
    return f"{', '.join(first)} or {last}"
