"""How a version becomes champion: by the gate's decision, by hand, or by a rollback.

The gate does not promote a version again that was rolled back; a person can, with ``force``.

The alias ``@champion`` is moved in one step. The tags from which ``settle`` derives all the rest
are written before that step. A command that is killed before the step has changed nothing that
counts; what a kill after the step leaves undone, the next command does. All of this happens under
``registry_lock``.
"""

import re
from datetime import UTC, datetime

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from amad.config import GateError, ServiceError, Settings
from amad.config.console import say
from amad.config.wording import registering
from amad.engines.register.gate import BY_HAND, Decision
from amad.engines.register.model_card import standing_of, with_promotion
from amad.engines.register.registry_lock import registry_lock
from amad.engines.register.registry_writes import (
    DESCRIPTION_LIMIT,
    clip,
    move_alias,
    person,
    set_tags,
    tenure,
)
from amad.engines.shared.lost_registry import existing_registry
from amad.engines.shared.model_registry import (
    CHALLENGER,
    CHAMPION,
    PREVIOUS,
    alias_version,
    champion_version,
    fetched,
    get_version,
    no_version,
    standing,
    version_number,
    version_title,
    versions_of,
)
from amad.engines.shared.tracking import model_name

MOVE, BEFORE = "champion_move", "champion_before"  # tags: time of the move, version before it
MOVED = f"{CHAMPION} moved "  # how the tags of the model's history begin, with the time of the move
MOVED_TO = re.compile(r" -> version (\d+),")  # in their text


def record(client: MlflowClient, version: ModelVersion, decision: Decision) -> None:
    """Write the gate's decision and its figures on the version, as tags and in its card."""
    tags = {f"gate_{key}": value for key, value in decision.figures.items()}
    tags["gate_decision"] = "promote" if decision.promote else "refuse"
    tags["gate_reasons"] = "\n".join(decision.reasons)
    for key in [key for key in version.tags if key.startswith("gate_") and key not in tags]:
        client.delete_model_version_tag(version.name, version.version, key)  # of one before
    set_tags(client, version, tags)
    _describe(client, version)


def recorded(version: ModelVersion) -> Decision | None:
    """The decision in a version's tags; None where the gate has not judged it."""
    tags = version.tags
    if "gate_decision" not in tags:
        return None
    return Decision(
        promote=tags["gate_decision"] == "promote",
        reasons=tags.get("gate_reasons", "no reason is noted").split("\n"),
        figures={
            key.removeprefix("gate_"): _number(value)
            for key, value in sorted(tags.items())
            if key.startswith("gate_") and key not in ("gate_decision", "gate_reasons")
        },
    )


def make_champion(client: MlflowClient, fleet: str, version: str, why: str) -> ModelVersion:
    """Make a version champion; the champion before it becomes ``@previous``."""
    settle(client, fleet)
    before = standing(client, fleet, CHAMPION)
    new = get_version(client, fleet, version)
    if "rolled_back" in new.tags:
        client.delete_model_version_tag(new.name, new.version, "rolled_back")
    if version_number(before) != version_number(new):
        if before is not None:
            set_tags(client, new, {"replaced": str(before.version)})
        _move(client, fleet, before, new, why)
    return new


def settle(client: MlflowClient, fleet: str) -> None:
    """Finish a move of ``@champion`` that was cut short, or note one that a person made in MLflow.

    The line in the model's history is written last and marks the move as complete.
    """
    champion = standing(client, fleet, CHAMPION)
    if champion is None:
        return
    name, history = model_name(fleet), _history(client, fleet)
    if MOVE not in champion.tags or champion.tags[MOVE] in history:
        before = history[max(history)] if history else None
        if before in (None, str(champion.version)):
            return
        if "rolled_back" in champion.tags:
            client.delete_model_version_tag(champion.name, champion.version, "rolled_back")
        set_tags(client, champion, {"replaced": before})
        _note_move(client, before, champion, "somebody moved the alias in MLflow before")
        champion = get_version(client, fleet, champion.version)
    tags = champion.tags
    why = tags.get(f"{CHAMPION}_why", "no reason is noted")
    known = {str(v.version): v for v in versions_of(client, fleet)}
    if tags.get("replaced") in known:  # a person may have deleted it since
        move_alias(client, fleet, PREVIOUS, tags["replaced"], why)
    else:
        client.delete_registered_model_alias(name, PREVIOUS)
    since, who = (tags.get(f"{CHAMPION}_{key}", "unknown") for key in ("since", "by"))
    former = known.get(tags.get(BEFORE, ""))
    if former is not None and "rolled_back" in former.tags:
        _describe(client, former, f"Rolled back {former.tags['rolled_back']}.")
    elif former is not None:
        began = former.tags.get(f"{CHAMPION}_since", "an unknown time")
        told = f"Champion from {began} to {since} UTC; version {champion.version} replaced it."
        _describe(client, former, told)
    _describe(client, champion, f"Champion since {since} UTC: {why}")
    past = f"version {tags[BEFORE]}" if BEFORE in tags else "none"
    text = f"{past} -> version {champion.version}, by {who}, {since} UTC: {why}"
    client.set_registered_model_tag(name, f"{MOVED}{tags[MOVE]}", text[:DESCRIPTION_LIMIT])


def _move(
    client: MlflowClient, fleet: str, before: ModelVersion | None, new: ModelVersion, why: str
) -> None:
    if before is None and BEFORE in new.tags:
        client.delete_model_version_tag(new.name, new.version, BEFORE)
    _note_move(client, None if before is None else str(before.version), new, why)
    client.set_registered_model_alias(new.name, CHAMPION, new.version)
    settle(client, fleet)


def _note_move(client: MlflowClient, before: str | None, new: ModelVersion, why: str) -> None:
    """Write the tags of a move from version ``before`` to ``new``."""
    now = datetime.now(UTC)
    if before is not None:
        set_tags(client, new, {BEFORE: before})
    set_tags(client, new, tenure(CHAMPION, now, why) | {MOVE: f"{now:%Y%m%dT%H%M%S.%f}"})


def _history(client: MlflowClient, fleet: str) -> dict[str, str]:
    """Time of each complete move of ``@champion`` -> the version that it was moved to."""
    tags = client.get_registered_model(model_name(fleet)).tags
    moves = {key.removeprefix(MOVED): MOVED_TO.search(text) for key, text in tags.items()
             if key.startswith(MOVED)}  # fmt: skip
    return {at: found[1] for at, found in moves.items() if found}


def promote(
    settings: Settings,
    fleet: str,
    version: str | None = None,
    *,
    force: bool = False,
    reason: str = "",
) -> ModelVersion:
    """Make ``version`` (default: the challenger) the champion, if the gate allowed it, or by force.

    reason: the user's own words; kept in the registry.

    Raises:
        GateError: the gate refused it or has not judged it, and ``force`` is not set.
        ServiceError: there is no such version.
    """
    with existing_registry(settings, fleet) as client, registry_lock(settings, fleet):
        if version is not None:
            candidate: ModelVersion | None = get_version(client, fleet, version)
        else:
            candidate = alias_version(client, fleet, CHALLENGER)
        if candidate is None:
            raise no_version(
                client, fleet, f"fleet {fleet} has no challenger; {registering(fleet)}"
            )
        decision = recorded(candidate)
        refused = decision is None or not decision.promote
        if "rolled_back" in candidate.tags:
            refused, last = True, f"it was rolled back ({candidate.tags['rolled_back']})"
        else:
            last = decision.reasons[-1] if decision else "the gate has not judged it"
            last = last.removesuffix(f"; {BY_HAND}")
        if refused and not force:
            raise GateError(
                f"{version_title(candidate)} may not be champion: {last}; "
                f"'amad promote {candidate.version} --force --reason TEXT' overrules the gate"
            )
        if version_number(standing(client, fleet, CHAMPION)) == version_number(candidate):
            say("it was the champion before this command, which therefore notes no reason")
        with fetched(client, candidate):  # a version that cannot be loaded cannot score
            pass
        how = f"by hand, overruling the gate ({last})" if refused else "by hand"
        why = f"promoted {how}: {reason or 'no reason given'}"
        return make_champion(client, fleet, candidate.version, why)


def rollback(settings: Settings, fleet: str) -> ModelVersion:
    """Make the version that the champion replaced champion again; repeat to go further back.

    Raises:
        ServiceError: the champion is the first one, there is none, the version before it cannot be
            loaded any more, or another command moved the champion while this one waited for it.
    """
    with existing_registry(settings, fleet) as client:
        seen = champion_version(client, fleet)
        with registry_lock(settings, fleet):
            return _roll_back(client, fleet, seen)


def _roll_back(client: MlflowClient, fleet: str, seen: ModelVersion) -> ModelVersion:
    """Go back from the champion that was ``seen``: of two people, one has done what both want."""
    settle(client, fleet)
    champion = champion_version(client, fleet)
    if version_number(champion) != version_number(seen):
        raise ServiceError(
            f"another command has made version {champion.version} the champion of fleet {fleet} in "
            f"place of version {seen.version} meanwhile, so nothing was rolled back; run this one "
            f"again to go back from version {champion.version} too"
        )
    target = champion.tags.get("replaced")
    if target is None:
        raise ServiceError(
            f"version {champion.version} is the first champion of fleet {fleet}: there is "
            "nothing to roll back to; 'amad promote VERSION --force --reason TEXT' makes "
            "another one"
        )
    back = get_version(client, fleet, target)
    with fetched(client, back):
        pass
    who = person()
    set_tags(client, champion, {"rolled_back": f"to version {back.version} by {who}"})
    why = f"rolled back from version {champion.version} by {who}"
    _move(client, fleet, champion, back, why)
    return back


def _describe(client: MlflowClient, version: ModelVersion, text: str | None = None) -> None:
    """Rewrite the first section of the version's card: what the gate found, and where it stands.

    text: where it stands; default: as the card says.
    """
    now = client.get_model_version(version.name, version.version)
    card, decision = now.description or "", recorded(now)
    standing = standing_of(card) if text is None else text
    new = clip(with_promotion(card, decision.reasons if decision else [], standing))
    if new != card:
        client.update_model_version(version.name, version.version, new)


def _number(text: str) -> float | int | str:
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text
