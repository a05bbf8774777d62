"""What decides about a version, as text: the sections of its card that say how good it is.

The card is the one that the version's page in MLflow shows, so nothing is told in two ways. Only
what changes after registration, aliases and the gate's newest decision, is read beside it.
"""

from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from amad.config import Settings
from amad.config.console import say
from amad.config.wording import registering
from amad.engines.register.model_card import PROMOTION, standing_of
from amad.engines.register.promotion import recorded
from amad.engines.register.registry_writes import CLIPPED
from amad.engines.shared.lost_registry import existing_registry
from amad.engines.shared.model_registry import (
    CHALLENGER,
    CHAMPION,
    alias_version,
    get_version,
    no_version,
    version_title,
)
from amad.engines.shared.tracking import public_reason
from amad.telemetry.temporary import temporary_folder

DECIDES = ("Data", "Quality", "Operating point", "Blind spots", "Limits")  # sections, in order


def review(settings: Settings, fleet: str, number: str | None = None) -> str:
    """The text about a version; default: the challenger, else the champion.

    Raises:
        ServiceError: there is no such version, or the registry does not answer.
    """
    with existing_registry(settings, fleet) as client:
        version = _version(client, fleet, number)
        sections = _sections(_card(client, version))
    decision = recorded(version)
    reasons = decision.reasons if decision else ["the gate has not judged it"]
    if "rolled_back" in version.tags:
        reasons = [*reasons, f"rolled back {version.tags['rolled_back']}"]
    aliases = ", ".join(f"@{name}" for name in sorted(version.aliases)) or "no alias"
    parts = [
        f"# {version_title(version)} ({aliases})",
        "## Gate\n" + "\n".join(f"- {reason}" for reason in reasons),
        *(f"## {name}\n{sections[name]}" for name in DECIDES if name in sections),
    ]
    if standing := standing_of(version.description or ""):
        parts.append(f"{PROMOTION}\n{standing}")
    return "\n\n".join(parts)


def _version(client: MlflowClient, fleet: str, number: str | None) -> ModelVersion:
    found = None
    if number is None:
        found = alias_version(client, fleet, CHALLENGER) or alias_version(client, fleet, CHAMPION)
        if found is None:
            raise no_version(
                client, fleet, f"fleet {fleet} has no version yet; {registering(fleet)}"
            )
    # Only a version that is read by its number comes with its aliases.
    return get_version(client, fleet, number or str(found.version if found else ""))


def _card(client: MlflowClient, version: ModelVersion) -> str:
    """The whole card: the description, or the artifact where that was cut."""
    description = version.description or ""
    if CLIPPED not in description:
        return description
    with temporary_folder("card") as folder:
        try:
            uri = client.get_model_version_download_uri(version.name, version.version)
            file = mlflow.artifacts.download_artifacts(
                artifact_uri=f"{uri}/model_card.md", dst_path=str(folder)
            )
            return Path(file).read_text(encoding="utf-8")
        except (OSError, MlflowException) as error:
            why = public_reason(error, client.tracking_uri)
            say(f"the artifact with the whole card cannot be read ({why}); this is what is left")
            return description


def _sections(card: str) -> dict[str, str]:
    """Heading -> text of each section of a card."""
    found = {}
    for part in card.split("\n## ")[1:]:
        heading, _, text = part.partition("\n")
        found[heading.strip()] = text.strip()
    return found
