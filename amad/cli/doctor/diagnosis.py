"""The order in which the checks run."""

from collections.abc import Callable, Iterator

from amad.cli.doctor import health_checks, machine_checks, operation_checks, service_checks
from amad.cli.doctor.check import Check, Subject, fail, ok
from amad.config import AmadError, ConfigError, Settings, load_fleet, load_params, read_params


def diagnose(settings: Settings, fleet: str | None = None) -> Iterator[Check]:
    """Run every check, each as it is found; one that breaks is a finding, not an end.

    fleet: name, default the one of ``params.yaml``. Without a readable ``params.yaml`` and fleet
    file only the machine is examined.
    """
    for first in (machine_checks.python, machine_checks.packages, machine_checks.disk):
        yield _guarded(first, settings)
    try:
        named = read_params(settings.params_file)
    except ConfigError as error:
        yield fail("params.yaml", str(error), "mend the file, or run in the project's folder")
        return
    many = "fleet" if len(named.fleets) == 1 else "fleets"
    yield ok("params.yaml", f"{many} {', '.join(named.fleets)}, seed {named.seed}")
    try:
        params = load_params(settings.params_file, fleet)
        contract = load_fleet(params.fleet, settings)
    except ConfigError as error:
        yield fail("fleet file", str(error), "mend the file, or name another fleet with --fleet")
        return
    classes = len(contract.vehicle_classes)
    yield ok(
        "fleet file",
        f"{contract.name}: {len(contract.channels)} channels, "
        f"{classes} vehicle class{'es' if classes > 1 else ''}, {contract.period_seconds:g} s",
    )
    subject = Subject(settings=settings, params=params, fleet=contract)
    for check in (
        machine_checks.raw_data,
        machine_checks.lake,
        health_checks.validation,
        service_checks.tracking_store,
        service_checks.registry,
        service_checks.cluster,
        operation_checks.last_scoring,
        operation_checks.freshness,
        operation_checks.dvc,
        operation_checks.leftovers,
    ):
        yield _guarded(check, subject)
        if check is health_checks.validation:
            yield from health_checks.checks(subject)


def _guarded(check: Callable[..., Check], subject: object) -> Check:
    name = check.__name__.replace("_", " ")
    try:
        return check(subject)
    except AmadError as error:
        return fail(name, str(error), "")  # its sentence says what to do
    except Exception as error:
        text = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        return fail(name, f"the check itself failed ({text})", "run the command with --debug")
