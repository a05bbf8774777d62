"""Who is champion, and how that changes: by the gate's decision, by hand, or back again.

A version that was rolled back is not promoted by the gate again; a person can, with force.
"""

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from amad.config import GateError, ServiceError, Settings
from amad.engines import registry
from amad.engines.gate import Decision
from amad.engines.model_card import PROMOTION
from amad.engines.tracking import connect, model_name


def record(client: MlflowClient, version: ModelVersion, decision: Decision) -> None:
    """Write the gate's decision and its figures on the version, as tags."""
    tags = {f"gate_{key}": value for key, value in decision.figures.items()}
    tags["gate_decision"] = "promote" if decision.promote else "refuse"
    tags["gate_reasons"] = "\n".join(decision.reasons)
    registry.set_tags(client, version, tags)


def recorded(version: ModelVersion) -> Decision | None:
    """The decision that stands on a version; None where the gate has not judged it."""
    tags = version.tags
    if "gate_decision" not in tags:
        return None
    return Decision(
        promote=tags["gate_decision"] == "promote",
        reasons=tags["gate_reasons"].split("\n"),
        figures={
            key.removeprefix("gate_"): _number(value)
            for key, value in sorted(tags.items())
            if key.startswith("gate_") and key not in ("gate_decision", "gate_reasons")
        },
    )


def crown(client: MlflowClient, fleet: str, version: str, why: str) -> ModelVersion:
    """Make a version champion; the champion before it becomes ``@previous``."""
    before = registry.alias_version(client, fleet, registry.CHAMPION)
    new = registry.get_version(client, fleet, version)
    if registry.number(before) == registry.number(new):
        return new
    if before is not None:
        registry.set_tags(client, new, {"replaced": str(before.version)})
        registry.move_alias(client, fleet, registry.PREVIOUS, before.version, why)
    registry.move_alias(client, fleet, registry.CHAMPION, new.version, why)
    if "rolled_back" in new.tags:
        client.delete_model_version_tag(new.name, new.version, "rolled_back")
    _describe(client, new, f"Champion since {_since(client, new)}: {why}")
    return new


def promote(
    settings: Settings,
    fleet: str,
    version: str | None = None,
    *,
    force: bool = False,
    reason: str = "",
) -> ModelVersion:
    """Make ``version`` (default: the challenger) the champion, if the gate let it or by force.

    reason: why, in the words of who does it; kept in the registry.

    Raises:
        GateError: the gate refused it or has not judged it, and ``force`` is not set.
        ServiceError: there is no such version.
    """
    client = connect(settings)
    if version is None:
        candidate = registry.alias_version(client, fleet, registry.CHALLENGER)
        if candidate is None:
            raise ServiceError(f"fleet {fleet} has no challenger; run 'amad register' first")
    else:
        candidate = registry.get_version(client, fleet, version)
    decision = recorded(candidate)
    refused = decision is None or not decision.promote
    if "rolled_back" in candidate.tags:
        refused, last = True, f"it was rolled back ({candidate.tags['rolled_back']})"
    else:
        last = decision.reasons[-1] if decision else "the gate has not judged it"
    if refused and not force:
        raise GateError(
            f"{candidate.name} version {candidate.version} may not be champion: {last}; "
            f"'amad promote {candidate.version} --force --reason TEXT' overrules the gate"
        )
    how = f"by hand, overruling the gate ({last})" if refused else "by hand"
    return crown(client, fleet, candidate.version, f"promoted {how}: {reason or 'no reason given'}")


def rollback(settings: Settings, fleet: str) -> ModelVersion:
    """Make the version that the champion replaced champion again; repeat to go further back.

    Raises:
        ServiceError: the champion is the first one, or there is none.
    """
    client = connect(settings)
    champion = registry.champion_version(client, fleet)
    target = champion.tags.get("replaced")
    if target is None:
        raise ServiceError(
            f"version {champion.version} is the first champion of fleet {fleet}: there is nothing "
            "to roll back to; 'amad promote VERSION --force --reason TEXT' crowns another one"
        )
    back = registry.get_version(client, fleet, target)
    who = registry.person()
    why = f"rolled back from version {champion.version} by {who}"
    registry.move_alias(client, fleet, registry.CHAMPION, back.version, why)
    earlier = back.tags.get("replaced")
    if earlier is not None:
        registry.move_alias(client, fleet, registry.PREVIOUS, earlier, why)
    else:
        client.delete_registered_model_alias(model_name(fleet), registry.PREVIOUS)
    registry.set_tags(client, champion, {"rolled_back": f"to version {back.version} by {who}"})
    _describe(client, champion, f"Rolled back to version {back.version} by {who}.")
    _describe(client, back, f"Champion since {_since(client, back)}: {why}")
    return back


def _since(client: MlflowClient, version: ModelVersion) -> str:
    tags = client.get_model_version(version.name, version.version).tags
    return f"{tags[f'{registry.CHAMPION}_since']} UTC"


def _describe(client: MlflowClient, version: ModelVersion, text: str) -> None:
    """Rewrite the last section of the version's card."""
    card = (client.get_model_version(version.name, version.version).description or "").rstrip()
    head = card.partition(PROMOTION)[0].rstrip()
    tail = f"\n\n{PROMOTION}\n{text}\n"
    room = registry.DESCRIPTION_LIMIT - len(tail)
    client.update_model_version(version.name, version.version, registry.clip(head, room) + tail)


def _number(text: str) -> float | int | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
