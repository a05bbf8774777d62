"""``amad init``: draft a fleet file from raw files, and say what to do next."""

import re
from pathlib import Path

from amad.config import ConfigError, Settings, load_fleet
from amad.config.fleet import FLEET_NAME, fleet_path
from amad.draft.build import draft
from amad.telemetry.files import staged


def write_draft(folder: Path, name: str, settings: Settings, *, force: bool) -> list[str]:
    """Write ``conf/fleet/<name>.yaml`` and return what was decided, a line each.

    Raises:
        ConfigError: the name is no fleet's name, or the file is there already and not ``force``.
        DataError: the folder holds nothing that can be read.
    """
    if not re.fullmatch(FLEET_NAME, name):
        raise ConfigError(
            f"--name {name}: a plain name of small letters, digits, - and _, such as 'vans', which "
            "begins with a letter or a digit"
        )
    path = fleet_path(name, settings)
    if path.exists() and not force:
        raise ConfigError(f"{path} is there already; name another fleet, or overwrite with --force")
    drafted = draft(folder, name, settings)
    with staged(path) as stage:
        stage.write_text(drafted.text, encoding="utf-8")
    load_fleet(name, settings)
    return [
        *drafted.lines,
        f"written to {path}; look at what it marks as a guess",
        f"next: amad ingest --fleet {name}",
        f"then: sed -i 's/^fleets: .*/fleets: [{name}]/' params.yaml && dvc repro",
    ]
