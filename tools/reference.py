"""python -m tools.reference [--check]

Write the parts of docs/reference that follow from the code: the commands and their options, the
keys of params.yaml, of a fleet file, of a cluster profile and of a file of sinks, and the columns
of every table.

A page keeps what a person wrote above the marker; everything below it is replaced. With --check
nothing is written, and the exit code is 1 where a page is out of date.
"""

import argparse
import inspect
import re
import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pyarrow as pa
import typer
import typer.core
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from amad.config.source import Pattern
from amad.config.yaml_file import models_in

PAGES = Path(__file__).resolve().parent.parent / "docs" / "reference"
MARKER = "<!-- Below this line: made by `make reference` from the code. -->"
BOUNDS = {"ge": "≥ {}", "gt": "> {}", "le": "≤ {}", "lt": "< {}"}


def main(arguments: list[str] | None = None) -> int:
    """Write the pages, or compare them; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[1])
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args(arguments).check
    stale = []
    for name, lines in pages().items():
        path = PAGES / name
        old = path.read_text(encoding="utf-8")
        head = old.split(MARKER)[0].rstrip()
        new = "\n".join([head, "", MARKER, "", *lines]).rstrip() + "\n"
        if new != old and not check:
            path.write_text(new, encoding="utf-8")
        elif new != old:
            stale.append(name)
    for name in stale:
        print(f"docs/reference/{name} is out of date: run make reference", file=sys.stderr)
    return 1 if stale else 0


def pages() -> dict[str, list[str]]:
    """The generated lines of each page below docs/reference."""
    from amad.config import Fleet
    from amad.config.cluster import ClusterProfile
    from amad.config.params import ParamsFile
    from amad.config.sinks import Sinks

    return {
        "cli.md": list(_commands()),
        "params.md": list(_models(ParamsFile)),
        "fleet-file.md": list(_models(Fleet)),
        "cluster-profile.md": list(_models(ClusterProfile)),
        "notify-file.md": list(_models(Sinks)),
        "schemas.md": list(_schemas()),
    }


def _commands() -> Iterator[str]:
    """Each command of amad: what it does, its arguments and options."""
    from amad.cli.app import app

    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    panels: dict[str, list[str]] = {}
    for name, command in group.commands.items():
        panels.setdefault(getattr(command, "rich_help_panel", None) or "Commands", []).append(name)
    for panel, names in panels.items():
        yield from (f"## {panel}", "")
        for name in names:
            yield from _command(name, group.commands[name])


def _command(name: str, command: Any) -> Iterator[str]:
    yield from (f"### amad {name}", "", _markdown(command.help or ""), "")
    rows = []
    for option in command.params:
        names = ", ".join(f"`{n}`" for n in [*option.opts, *option.secondary_opts])
        if isinstance(option, typer.core.TyperArgument):
            names = f"`{option.name.upper()}`"
        help_text = _cell(getattr(option, "help", None) or "")
        kind = "" if getattr(option, "is_flag", False) else _kind(option)
        rows.append([names, kind, help_text + _numbers(option)])
    yield from (*_table(["argument or option", "value", "meaning"], rows), "")


def _numbers(option: Any) -> str:
    """What the help text of an option leaves to typer: required, the least value, the default."""
    least, default = getattr(option, "min", None), option.default
    text = " Required." if option.required else ""
    text += f" At least {least}." if least is not None and least > 1 else ""
    is_number = isinstance(default, int) and not isinstance(default, bool)
    return text + (f" Default: {default}." if is_number else "")


def _kind(option: Any) -> str:
    if option.metavar:
        return f"`{option.metavar}`"
    return _name(option.type_descriptor.annotation)


def _models(root: type[BaseModel]) -> Iterator[str]:
    """A table of keys for the model and for each model below it, the outermost first."""
    queue: list[tuple[str, type[BaseModel]]] = [("", root)]
    for path, model in queue:  # grows while it is walked
        title = f"`{path}`" if path else "The keys at the top"
        yield from (f"## {title}", "")
        for paragraph in (inspect.getdoc(model) or "").split("\n\n"):
            listed = paragraph.startswith("- ")
            yield from (paragraph.replace("``", "`") if listed else _markdown(paragraph), "")
        rows = []
        for key, field in model.model_fields.items():
            name = f"{path}.{key}" if path else key
            queue += [(name, item) for item in models_in(field.annotation)]
            value = _type(field).replace("section", f"[section](#{name.replace('.', '')})")
            rows.append([f"`{key}`", value, _default(field), _cell(_meaning(field))])
        yield from (*_table(["key", "value", "default", "meaning"], rows), "")


def _meaning(field: FieldInfo) -> str:
    """The description of a key, or the first line of its section's docstring."""
    section = next(models_in(field.annotation), None)
    text = field.description or (inspect.getdoc(section) or "").split("\n")[0]
    return " ".join(text.split()).rstrip(".")


def _type(field: FieldInfo) -> str:
    bounds = [
        text.format(f"{getattr(item, name):,}".removesuffix(".0"))
        for item in field.metadata for name, text in BOUNDS.items()
        if getattr(item, name, None) is not None
    ]  # fmt: skip
    return ", ".join([_name(field.annotation), *bounds])


def _name(annotation: Any) -> str:
    """A type in the words of somebody who writes YAML."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if inspect.isclass(annotation) and issubclass(annotation, StrEnum):
        return ", ".join(f"`{item}`" for item in annotation)
    if origin is Literal:
        return ", ".join(f"`{choice}`" for choice in arguments)
    if origin is Annotated:
        return "regular expression" if annotation == Pattern else _name(arguments[0])
    if origin in (Union, UnionType):
        return " or ".join(_name(item) for item in arguments if item is not NoneType)
    if origin is list:
        return f"list of {_name(arguments[0])}"
    if origin is tuple:
        return "[low, high]"
    if origin is dict:
        return "mapping"
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return "section"
    names = {"str": "text", "int": "whole number", "float": "number", "bool": "true or false",
             "Path": "path", "PurePath": "path"}  # fmt: skip
    own = getattr(annotation, "__name__", str(annotation))
    return names.get(own, "time" if own == "datetime" else own)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.default if field.default is not PydanticUndefined else None
    if isinstance(value, BaseModel) or value is None:
        return "-"
    if isinstance(value, list) and any(isinstance(item, BaseModel) for item in value):
        return "; ".join(f"`{item.model_dump(mode='json')}`" for item in value)
    if isinstance(value, list | tuple):
        return f"`[{', '.join(str(item) for item in value)}]`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`" if value != "" else "-"


def _schemas() -> Iterator[str]:
    """The columns of each table whose schema is a constant, with the comment above it."""
    from amad.telemetry import schemas

    source = inspect.getsource(schemas)
    for name, schema in vars(schemas).items():
        if isinstance(schema, pa.Schema):
            comment = re.search(rf"((?:^#.*\n)+){name} = ", source, re.M)
            text = re.sub(r"^# ?", "", comment[1], flags=re.M) if comment else ""
            yield from (f"## `{name}`", "", _markdown(" ".join(text.split())), "")
            rows = [[f"`{column.name}`", f"`{column.type}`"] for column in schema]
            yield from (*_table(["column", "type"], rows), "")


def _markdown(text: str) -> str:
    """Text of a docstring as Markdown: code in single backticks, no accidental HTML."""
    text = " ".join(text.replace("``", "`").split())
    parts = text.split("`")
    parts[::2] = [part.replace("<", "&lt;") for part in parts[::2]]
    return "`".join(parts)


def _cell(text: str) -> str:
    text = _markdown(text).replace("|", "\\|")
    return text if text[1:2] == " " or "://" in text.split(" ")[0] else text[:1].upper() + text[1:]


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    return [
        f"| {' | '.join(head)} |", f"|{'---|' * len(head)}",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
