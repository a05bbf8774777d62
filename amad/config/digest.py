"""SHA-256 of text, of JSON and of files: every hash that the project compares or names things by.

The short digests are the first 16 of the 64 hexadecimal digits.
"""

import hashlib
import json
from pathlib import Path

DIGITS = 16


def sha256_of(content: str | bytes) -> str:
    """All 64 hexadecimal digits of a text (as UTF-8) or of bytes."""
    content = content.encode() if isinstance(content, str) else content
    return hashlib.sha256(content).hexdigest()


def file_sha256(path: Path) -> str:
    """All 64 hexadecimal digits of a file's content.

    Raises:
        OSError: the file is missing or cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def text_digest(text: str | bytes) -> str:
    """The short digest of a text."""
    return sha256_of(text)[:DIGITS]


def json_digest(content: object) -> str:
    """The short digest of a value as JSON with sorted keys."""
    return text_digest(json.dumps(content, sort_keys=True))
