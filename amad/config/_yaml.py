"""Read a YAML file into a pydantic model, with errors that name file, key and accepted values."""

from pathlib import Path
from typing import Annotated, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from amad.config.errors import ConfigError

M = TypeVar("M", bound=BaseModel)
Seed = Annotated[int, Field(ge=0, lt=2**31)]  # what every generator used here takes


class Strict(BaseModel):
    """Base of every settings model: unknown keys are refused and values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


def read_mapping(path: Path) -> dict:
    """Return the mapping in the YAML file ``path``.

    Raises:
        ConfigError: the file is missing, is not YAML, or holds no mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        raise ConfigError(f"{path}: not valid YAML{where}: {problem}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected a mapping of keys to values, found {content!r}")
    return content


def parse(model: type[M], content: dict, where: str) -> M:
    """Return ``content`` as ``model``; ``where`` names the file in the error.

    Raises:
        ConfigError: a line for each wrong key, with its path and the accepted values.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"{where}: " + "; ".join(_explain(error, model))) from None


def _explain(error: ValidationError, model: type[BaseModel]) -> list[str]:
    lines = []
    for item in error.errors():
        key = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in item["loc"]).lstrip(".")
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            names = _fields_at(model, item["loc"][:-1])
            message = "unknown key" + (f"; accepted: {', '.join(names)}" if names else "")
        elif item["type"] == "missing":
            message = "required key is missing"
        elif "input" in item and not isinstance(item["input"], dict | list):
            message += f" (got {item['input']!r})"
        lines.append(f"{key or '(top level)'}: {message}")
    return lines


def _fields_at(model: type[BaseModel], location: tuple) -> list[str]:
    """Names of the fields of the model that ``location`` leads to, empty where unclear."""
    current: object = model
    for part in location:
        if isinstance(part, int):
            continue
        field = getattr(current, "model_fields", {}).get(part)
        if field is None:
            return []
        current = next((t for t in _models_in(field.annotation)), None)
    return list(getattr(current, "model_fields", {}))


def _models_in(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    found = []
    for argument in getattr(annotation, "__args__", ()):
        found += _models_in(argument)
    return found
