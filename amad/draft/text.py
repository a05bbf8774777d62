"""The fleet file as text, with a comment for a person wherever something is a guess."""

import json
import re
import textwrap

from amad.draft.channels import Drafted

PLAIN = re.compile(r"[A-Za-z_][\w./-]*")
WORDS = {"true", "false", "yes", "no", "on", "off", "null", "y", "n", "nan", "none"}
WIDTH = 98


def scalar(value: object) -> str:
    """A value as YAML reads it back."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return number(value)
    text = str(value)
    if PLAIN.fullmatch(text) and text.casefold() not in WORDS:
        return text
    if text.isprintable() and "'" not in text:
        return f"'{text}'"
    return json.dumps(text, ensure_ascii=False)


def number(value: float) -> str:
    """A number without needless digits, in a form that YAML takes for one."""
    if float(value).is_integer() and abs(value) < 1e15:
        return str(int(value))
    told = f"{value:.10g}"
    if abs(value) > 1e15:
        told = repr(float(value))
    return told.replace("e", ".0e") if "e" in told and "." not in told else told


def flow(keys: dict[str, object]) -> str:
    """A mapping on one line."""
    return "{" + ", ".join(f"{key}: {_inline(value)}" for key, value in keys.items()) + "}"


def comment(text: str, indent: int = 0) -> list[str]:
    """Lines of a comment."""
    pad = " " * indent
    return textwrap.wrap(
        " ".join(text.split()), WIDTH, initial_indent=f"{pad}# ", subsequent_indent=f"{pad}# ",
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def section(key: str, content: dict[str, object], indent: int = 0) -> list[str]:
    """A mapping over several lines; mappings in it stand on one line where they fit."""
    pad = " " * (indent + 2)
    lines = [f"{' ' * indent}{key}:"]
    for name, value in content.items():
        if isinstance(value, dict) and len(pad + name + flow(value)) + 2 > WIDTH:
            lines += section(name, value, indent + 2)
        else:
            lines.append(f"{pad}{name}: {_inline(value)}")
    return lines


def channel_lines(channel: Drafted) -> list[str]:
    """One channel, on one line or two."""
    keys: dict[str, object] = {"name": channel.name}
    if channel.header != channel.name:
        keys["column"] = channel.header
    if channel.label:
        keys["label"] = channel.label
    if channel.unit:
        keys["unit"] = channel.unit
    if channel.kind != "continuous":
        keys["kind"] = channel.kind
    if channel.range is not None:
        keys["range"] = list(channel.range)
    if channel.nulls:
        keys["nulls"] = list(channel.nulls)
    line = f"  - {flow(keys)}"
    if channel.notes:
        line += f"  # {'; '.join(channel.notes)}"
    return [line]


def _inline(value: object) -> str:
    if isinstance(value, dict):
        return flow(value)
    if isinstance(value, list):
        return "[" + ", ".join(_inline(item) for item in value) + "]"
    return scalar(value)
