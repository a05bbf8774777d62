"""The order in which the checks run."""

from collections.abc import Callable, Iterator

from amad.cli.doctor import (
    health_checks,
    machine_checks,
    operation_checks,
    service_checks,
    sink_checks,
)
from amad.cli.doctor.check import Check, Finding, fail, ok
from amad.config import ConfigError, Fleet, Settings, Stage, load_params, read_params, usable_error
from amad.config.wording import count

STORE = "mend the tracking store first"


def diagnose(settings: Settings, fleet: str | None = None) -> Iterator[Check]:
    """Run every check and yield its result at once; a check that breaks is a result too.

    fleet: name, default the one of ``params.yaml``. Without a readable ``params.yaml`` and fleet
    file only the machine is examined.
    """
    for first in (machine_checks.python, machine_checks.packages, machine_checks.disk):
        yield _guarded(first, settings)
    try:
        named = read_params(settings.params_file)
    except ConfigError as error:
        remedy = "mend the file, or run in the project's folder"
        yield Check("params.yaml", *fail(str(error), remedy))
        return
    many = "fleet" if len(named.fleets) == 1 else "fleets"
    yield Check("params.yaml", *ok(f"{many} {', '.join(named.fleets)}, seed {named.seed}"))
    try:
        stage = Stage.of(load_params(settings.params_file, fleet), settings)
    except ConfigError as error:
        remedy = "mend the file, or name another fleet with --fleet"
        yield Check("fleet file", *fail(str(error), remedy))
        return
    yield Check("fleet file", *_fleet_file(stage.fleet))
    yield from _of_the_fleet(stage)


def _fleet_file(fleet: Fleet) -> Finding:
    classes = count(len(fleet.vehicle_classes), "vehicle class", "vehicle classes")
    channels = count(len(fleet.channels), "channel")
    return ok(f"{fleet.name}: {channels}, {classes}, {fleet.period_seconds:g} s")


def _of_the_fleet(stage: Stage) -> Iterator[Check]:
    """The checks that need the fleet file and the settings."""
    store_failed = False
    for check in (
        service_checks.storage,
        machine_checks.rights,
        machine_checks.raw_data,
        machine_checks.lake,
        health_checks.validation,
        service_checks.tracking_store,
        service_checks.registry,
        service_checks.cluster,
        operation_checks.steps_of_the_night,
        operation_checks.last_scoring,
        sink_checks.sinks,
        operation_checks.freshness,
        operation_checks.dvc,
        operation_checks.leftovers,
    ):
        if check is service_checks.registry and store_failed:
            # It is in the same store, and a server that is silent is waited for only once.
            yield Check("registry", *fail("not looked at, as the tracking store failed", STORE))
            continue
        found = _guarded(check, stage)
        yield found
        if check is health_checks.validation:
            yield from health_checks.checks(stage)
        if check is service_checks.tracking_store:
            store_failed = found.status == "fail"


def _guarded(check: Callable[..., Finding], subject: Stage | Settings) -> Check:
    name = check.__name__.replace("_", " ")
    try:
        return Check(name, *check(subject))
    except Exception as error:
        if (known := usable_error(error)) is not None:
            return Check(name, *fail(str(known), ""))  # the message says what to do
        text = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        remedy = "run the command with --debug"
        return Check(name, *fail(f"the check itself failed ({text})", remedy))
