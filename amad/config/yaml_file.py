"""Read a YAML file into a pydantic model, with errors that name file, key and accepted values.

A file of settings is small. A large file, or one whose aliases unfold to something large, is
refused before it takes much memory, and a message shows only the beginning of a value.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, TypeVar, get_args

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from amad.config.errors import ConfigError

M = TypeVar("M", bound=BaseModel)
Seed = Annotated[int, Field(ge=0, lt=2**31)]  # what every generator used here takes
Seconds = Annotated[float, Field(gt=0, le=1e9)]  # 30 years: in microseconds it stays an int64
Name = TypeVar("Name", bound=str)
LARGEST_BYTES = 4_000_000
DEEPEST = 30  # levels of lists and mappings in each other
MOST_NODES = 400_000  # values of a file, each alias counted with all that it stands for
LARGEST_INT = 2**53
SHOWN = 80  # characters of a value in a message
LISTED = 10  # wrong keys in a message
UNION_MEMBER = re.compile(r"literal\[.*\]|constrained-\w+")  # as Pydantic names it after the key
ODD_NUMBER = re.compile(r"[-+]?(0[0-7_]+$|.*:)")
GOT = re.compile(r" \(got .*\)$", re.S)


def _named_once(names: list[Name]) -> list[Name]:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"named twice: {', '.join(twice)}")
    return names


def _low_below_high(ends: tuple[float, float]) -> tuple[float, float]:
    if not ends[0] < ends[1]:
        raise ValueError(f"{list(ends)} must be [low, high] with low < high")
    return ends


EachOnce = AfterValidator(_named_once)
Ordered = AfterValidator(_low_below_high)


class Strict(BaseModel):
    """Base of every settings model: unknown keys are refused and values do not change.

    The text below a field is its description, which ``docs/reference`` shows. A field that is a
    section needs none: the docstring of its class describes it.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        protected_namespaces=(),
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )
    moved: ClassVar[Mapping[str, str]] = {}
    """Keys of earlier versions, each with what to do instead, for the message that refuses it."""

    @model_validator(mode="after")
    def _storable(self) -> Self:
        for key, value in self:
            if isinstance(value, int) and abs(value) > LARGEST_INT:
                raise ValueError(f"{key}: {shown(value)} is too large for a setting")
            if isinstance(value, str) and "\0" in value:
                raise ValueError(f"{key}: {shown(value)} holds a NUL character")
        return self


def read_mapping(path: Path) -> dict:
    """Return the mapping in the YAML file ``path``.

    Raises:
        ConfigError: the file is missing, no text in UTF-8, no YAML, larger than a file of settings
            is, or holds no mapping.
    """
    try:
        content = yaml.load(_text(path), Loader=_Loader)
    except RecursionError:
        raise ConfigError(f"{path}: lists and mappings stand too deep in each other") from None
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, LookupError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        raise ConfigError(f"{path}: not valid YAML{where}: {cut(problem, 300)}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected a mapping of keys to values, found {shown(content)}")
    return content


def _text(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():
            raise ConfigError(f"{path}: is no file")
        if (size := path.stat().st_size) > LARGEST_BYTES:
            raise ConfigError(
                f"{path}: is {size / 1e6:,.1f} MB; a file of settings has at most "
                f"{LARGEST_BYTES / 1e6:,.0f} MB"
            )
        content = path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigError(
            f"{path}: line {line} is no UTF-8 (byte 0x{content[error.start]:02x}); save the file "
            "in the encoding UTF-8"
        ) from None


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader for a small file, in which every key stands once.

    Two ways of YAML 1.1 to write a number are refused, as hardly anybody means them: ``010``, which
    is 8, and ``1:30``, which is 90.
    """

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = self._nodes = 0
        self._sizes: dict[int, int] = {}  # of each node that is complete, all aliases unfolded

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        mark = self.peek_event().start_mark
        self._depth += 1
        if self._depth > DEEPEST:
            raise yaml.MarkedYAMLError(
                problem=f"more than {DEEPEST} lists and mappings in each other", problem_mark=mark
            )
        before = self._nodes
        alias = self.check_event(yaml.AliasEvent)
        node = super().compose_node(parent, index)
        if alias and id(node) not in self._sizes:
            raise yaml.MarkedYAMLError(problem="an alias within itself", problem_mark=mark)
        self._nodes += self._sizes[id(node)] if alias else 1
        if self._nodes > MOST_NODES:
            raise yaml.MarkedYAMLError(
                problem=f"more than {MOST_NODES:,} values, aliases unfolded", problem_mark=mark
            )
        self._sizes.setdefault(id(node), self._nodes - before)
        self._depth -= 1
        return node

    def compose_scalar_node(self, anchor: Any) -> yaml.ScalarNode:
        node = super().compose_scalar_node(anchor)
        if node.tag.endswith((":int", ":float")) and ODD_NUMBER.match(node.value):
            raise yaml.MarkedYAMLError(
                problem=f"{shown(node.value)} is a number in base 8 or 60 in YAML; leave leading "
                "zeros and colons out, or put it in quotes",
                problem_mark=node.start_mark,
            )
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        known = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in known:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {shown(key.value)} stands twice", problem_mark=key.start_mark
                )
            known.add(key.value if isinstance(key, yaml.ScalarNode) else None)
        return node


def parse(model: type[M], content: dict, where: str) -> M:
    """Return ``content`` as ``model``; ``where`` names the file in the error.

    Raises:
        ConfigError: the wrong keys, each with its path and the accepted values; of many the first.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        lines = _explain(error, model)
        more = f"; and {len(lines) - LISTED:,} more" if len(lines) > LISTED else ""
        raise ConfigError(f"{where}: " + "; ".join(lines[:LISTED]) + more) from None


def shown(value: object) -> str:
    """A value as a message shows it: its beginning, or what kind of thing it is."""
    if isinstance(value, dict | list | tuple | set):
        return f"a {type(value).__name__} of {len(value):,}"
    if isinstance(value, int) and abs(value) > 10**SHOWN:
        return "a number of very many digits"
    return cut(repr(value[: 2 * SHOWN] if isinstance(value, str | bytes) else value), SHOWN)


def cut(text: str, limit: int = SHOWN) -> str:
    """``text``, its end left out where it is longer than ``limit`` characters."""
    return text if len(text) <= limit else text[: limit - 4] + " ..."


def _explain(error: ValidationError, model: type[BaseModel]) -> list[str]:
    lines: dict[str, str] = {}  # by key; of the members of a union, the messages are joined
    for item in error.errors(include_url=False, include_context=False):
        if UNION_MEMBER.fullmatch(str(item["loc"][-1] if item["loc"] else "")):
            item["loc"] = item["loc"][:-1]
        key = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in item["loc"]).lstrip(".")
        message = cut(item["msg"].removeprefix("Value error, "), 1000)
        if item["type"] == "extra_forbidden":
            at = _model_at(model, item["loc"][:-1])
            names = ", ".join(getattr(at, "model_fields", {}))
            unknown = "unknown key" + (f"; accepted: {names}" if names else "")
            message = getattr(at, "moved", {}).get(item["loc"][-1], unknown)
        elif item["type"] == "missing":
            message = "required key is missing"
        elif "input" in item and not isinstance(item["input"], dict | list | BaseModel):
            message += f" (got {shown(item['input'])})"
        key = cut(key, 200) or "(top level)"
        if (first := lines.get(key)) is not None:
            message = f"{GOT.sub('', first)}, or: {message}"
        lines[key] = message
    return [f"{key}: {message}" for key, message in lines.items()]


def _model_at(model: type[BaseModel], location: tuple) -> type[BaseModel] | None:
    """The model that ``location`` leads to, None where unclear."""
    current: type[BaseModel] | None = model
    for part in location:
        if isinstance(part, int):
            continue
        field = getattr(current, "model_fields", {}).get(part)
        if field is None:
            return None
        current = next(models_in(field.annotation), None)
    return current


def models_in(annotation: object) -> Iterator[type[BaseModel]]:
    """The models in the annotation of a field, also in a list or a union."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from models_in(argument)
