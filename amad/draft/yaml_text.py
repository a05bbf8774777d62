"""The fleet file as text, with a comment for a person wherever something is a guess."""

import math
import textwrap

import yaml

from amad.draft.channels import Drafted

WIDTH = 98


class _Dumper(yaml.SafeDumper):
    """Writes whole numbers without a fraction."""


def _float(dumper: yaml.SafeDumper, value: float) -> yaml.ScalarNode:
    if value.is_integer() and abs(value) < 1e15:
        return dumper.represent_int(int(value))
    return dumper.represent_float(value)


_Dumper.add_representer(float, _float)


def flow(value: object) -> str:
    """A value on one line, as YAML reads it back."""
    text = yaml.dump(
        value, Dumper=_Dumper, default_flow_style=True, sort_keys=False, allow_unicode=True,
        width=math.inf,
    )  # fmt: skip
    return text.removesuffix("...\n").rstrip("\n")


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
        line = f"{pad}{name}: {flow(value)}"
        if isinstance(value, dict) and len(line) > WIDTH:
            lines += section(name, value, indent + 2)
        else:
            lines.append(line)
    return lines


def channel_line(channel: Drafted) -> str:
    """One channel on one line."""
    told = {
        "name": channel.name,
        "column": channel.header if channel.header != channel.name else None,
        "label": channel.label,
        "unit": channel.unit,
        "kind": channel.kind if channel.kind != "continuous" else None,
        "range": None if channel.range is None else list(channel.range),
        "nulls": channel.nulls,
        "codes": channel.codes,
        "classes": channel.classes,
        "since": channel.since,
    }
    line = f"  - {flow({key: value for key, value in told.items() if value})}"
    return f"{line}  # {'; '.join(channel.notes)}" if channel.notes else line
