"""Every command of ``amad``. The command of a stage calls the same ``run`` as its DVC stage."""

import inspect
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from amad.cli import alerts, drifting, exporting, ledger, retention, reviewing, scoring, simulation
from amad.cli.alerts import run_daily
from amad.cli.error_sentences import MEANINGS, UNHEALTHY
from amad.cli.running import (
    Call,
    ClusterOption,
    FleetOption,
    FleetsOption,
    load,
    one_fleet,
    run_stage,
    settings_of,
)

EXIT_CODES = "Exit codes: " + " · ".join(f"{code} {words}" for code, words in MEANINGS.items())


def _without_type_of_flags(params: list) -> list:
    """Options as the help shows them: ``--json`` takes no value, so it has no ``<bool>``."""
    for param in params:
        if getattr(param, "is_flag", False):
            param.metavar = ""
    return params


class _Command(TyperCommand):
    def get_params(self, ctx: Any) -> list:
        return _without_type_of_flags(super().get_params(ctx))


class _Group(TyperGroup):
    def get_params(self, ctx: Any) -> list:
        return _without_type_of_flags(super().get_params(ctx))


app = typer.Typer(
    cls=_Group,
    help="Anomaly detection for fleets: validate telemetry, train, register, score, report.",
    epilog=EXIT_CODES,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)

START = "A new fleet"
PIPELINE, REGISTRY, DAILY, LOOK = "The pipeline, in order", "Registry", "Every day", "Look"


def _print_version(wanted: bool) -> None:
    if wanted:
        import amad

        print(f"amad {amad.__version__}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    fleet: FleetsOption = None,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; works anywhere.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Keep the options for the command; without a command show the help."""
    context.obj = Call(fleets=fleet or [], debug=debug or bool(context.obj))
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command(rich_help_panel=PIPELINE)
def ingest(
    context: typer.Context,
    rebuild: Annotated[
        bool,
        typer.Option(
            "--rebuild", help="Make the lake anew; rows of raw files that are gone are lost."
        ),
    ] = False,
    fleet: FleetsOption = None,
) -> None:
    """Read raw files into the lake; what is refused goes to rejected/ with its reason."""
    run_daily("ingest", context, fleet, rebuild=rebuild)


@app.command(rich_help_panel=PIPELINE)
def validate(context: typer.Context, fleet: FleetsOption = None) -> None:
    """Judge every vehicle-day against the fleet file; quarantine those that fail."""
    run_daily("validate", context, fleet)


@app.command(rich_help_panel=PIPELINE)
def prepare(context: typer.Context, fleet: FleetOption = None) -> None:
    """Resample, impute with flags, split by time, and write the window store."""
    run_stage("prepare", context, fleet)


@app.command(rich_help_panel=PIPELINE)
def tune(context: typer.Context, fleet: FleetOption = None, cluster: ClusterOption = None) -> None:
    """Search with Ray Tune, without labels, for what to hide from the network in training."""
    run_stage("tune", context, fleet, cluster)


@app.command(rich_help_panel=PIPELINE)
def train(context: typer.Context, fleet: FleetOption = None, cluster: ClusterOption = None) -> None:
    """Train the network with Ray Train; an interrupted run goes on where it stopped."""
    run_stage("train", context, fleet, cluster)


@app.command(rich_help_panel=PIPELINE)
def evaluate(context: typer.Context, fleet: FleetOption = None) -> None:
    """Calibrate, score the test part, and compare with the floor and the baselines."""
    run_stage("evaluate", context, fleet)


@app.command(rich_help_panel=PIPELINE)
def register(context: typer.Context, fleet: FleetOption = None) -> None:
    """Put the detector into the MLflow registry and ask the gate to promote it."""
    run_stage("register", context, fleet)


app.command(rich_help_panel=DAILY)(scoring.score)


@app.command(rich_help_panel=DAILY)
def report(
    context: typer.Context,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where to write it; default: data/<fleet>/report.html."),
    ] = None,
    fleet: FleetsOption = None,
) -> None:
    """Write the page of the last scoring run, and one per date that was scored since."""
    if out is None:
        run_daily("report", context, fleet, told=lambda page: print(page.path))
    else:
        print(run_stage("report", context, fleet, out=out).path)


app.command(rich_help_panel=DAILY)(alerts.notify)
app.command(rich_help_panel=DAILY)(alerts.feedback)
app.command(rich_help_panel=DAILY)(retention.prune)
app.command(rich_help_panel=DAILY)(exporting.export)
app.command(rich_help_panel=DAILY)(drifting.drift)
app.command(rich_help_panel=DAILY)(drifting.retrain)
app.command(rich_help_panel=REGISTRY)(reviewing.review)


@app.command(rich_help_panel=REGISTRY)
def promote(
    context: typer.Context,
    version: Annotated[
        str | None, typer.Argument(help="A version of the registry; default: the challenger.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Promote it even if the gate refused it.")
    ] = False,
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="Why; kept in the registry with your name.")
    ] = "",
    fleet: FleetOption = None,
) -> None:
    """Make a version the champion, which scores the fleet, if the gate allowed it."""
    from amad.engines.register import promotion

    if force and not reason:
        raise typer.BadParameter("--force needs --reason: why the gate is overruled.")
    stage = load(context, fleet)
    champion = promotion.promote(
        stage.settings, stage.fleet.name, version, force=force, reason=reason
    )
    print(f"{champion.name} version {champion.version} is the champion")


@app.command(rich_help_panel=REGISTRY)
def rollback(context: typer.Context, fleet: FleetOption = None) -> None:
    """Make the version before the champion the champion again."""
    from amad.engines.register import promotion

    stage = load(context, fleet)
    champion = promotion.rollback(stage.settings, stage.fleet.name)
    print(f"{champion.name} version {champion.version} is the champion again")


@app.command(rich_help_panel=LOOK)
def summary(context: typer.Context, fleet: FleetOption = None) -> None:
    """What the pipeline has done so far, how good the model is, and where to look next."""
    from amad.cli.pipeline_summary import lines
    from amad.storage import look

    stage = load(context, fleet)
    look(stage, "summary")
    print("\n".join(lines(stage)))


app.command(rich_help_panel=LOOK)(ledger.status)


@app.command(rich_help_panel=LOOK)
def doctor(
    context: typer.Context,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for a monitor.")] = False,
    fleet: FleetOption = None,
    cluster: ClusterOption = None,
) -> None:
    """Check versions, data, store, registry, cluster and last job; say what to do."""
    from amad.cli.doctor import as_json, diagnose, print_table

    settings = settings_of(cluster, needs_params=False)
    checks = list(diagnose(settings, one_fleet(context, fleet)))
    if json:
        print(as_json(checks))
    else:
        print_table(checks)
    if any(check.status == "fail" for check in checks):
        raise typer.Exit(UNHEALTHY)


@app.command(rich_help_panel=START)
def init(
    folder: Annotated[Path, typer.Argument(help="The folder of the raw files.")],
    name: Annotated[
        str, typer.Option("--name", help="Name of the fleet: small letters, digits, -, _.")
    ],
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite a fleet file of this name.")
    ] = False,
) -> None:
    """Draft conf/fleet/NAME.yaml from raw files: format, time, vehicles, channels, limits."""
    from amad.cli.drafting import write_draft

    print("\n".join(write_draft(folder, name, settings_of(None), force=force)))


app.command(rich_help_panel=LOOK)(simulation.simulate)


for _command in app.registered_commands:  # the lines of a docstring are broken for code, not here
    _paragraphs = (inspect.getdoc(_command.callback) or "").split("\n\n")
    _command.help = "\n\n".join(" ".join(text.split()) for text in _paragraphs)
    _command.cls = _Command
