"""Every command of ``amad``. A stage's command calls the same ``run`` as its DVC stage."""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from amad.config import Fleet, Params, Settings

EXIT_CODES = """Exit codes: 0 done · 1 a bug in amad (add --debug) · 2 a wrong command, fleet file,
params.yaml or profile · 3 data missing or against its contract · 4 the tracking store, registry
or cluster does not answer · 5 the promotion gate refused · 6 a check of doctor failed ·
130 interrupted"""

app = typer.Typer(
    help="Anomaly detection for fleets: validate telemetry, train, register, score, report.",
    epilog=" ".join(EXIT_CODES.split()),
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)

FleetOption = Annotated[
    str | None,
    typer.Option(
        "--fleet", "-f", metavar="NAME", help="A fleet of conf/fleet/; default: params.yaml's."
    ),
]
ClusterOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="A profile of conf/cluster/; default: $AMAD_CLUSTER, local."),
]
DateOption = Annotated[str | None, typer.Option(metavar="YYYY-MM-DD")]
PIPELINE, REGISTRY, DAILY, LOOK = "The pipeline, in order", "Registry", "Every day", "Look"


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            print(f"amad {version('amad')}")
        except PackageNotFoundError:
            print("amad (run from its source folder, not installed)")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    fleet: FleetOption = None,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; works anywhere.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Keep the fleet for the command; without a command show the help."""
    context.obj = fleet
    if context.invoked_subcommand is None:
        print(context.get_help())


def load(
    context: typer.Context, fleet: str | None, cluster: str | None = None
) -> tuple["Params", "Settings"]:
    """Read ``params.yaml`` and this machine's settings, with what the command line overrides.

    Raises:
        ConfigError: this is not the project's folder, or a key is wrong.
    """
    from amad.config import ConfigError, Settings, load_params
    from amad.engines.environment import quiet

    quiet()
    settings = Settings(cluster=cluster) if cluster else Settings()
    if not settings.params_file.is_file():
        raise ConfigError(
            f"there is no params.yaml in {settings.home}; run amad in the project's folder, or "
            "name that folder in AMAD_HOME"
        )
    params = load_params(settings.params_file)
    fleet = fleet or context.obj
    return (params.model_copy(update={"fleet": fleet}) if fleet else params), settings


def _stage(
    name: str,
    context: typer.Context,
    fleet: str | None,
    cluster: str | None = None,
    **options: Any,
) -> dict:
    params, settings = load(context, fleet, cluster)
    return import_module(f"pipelines.{name}").run(params, settings, **options)


@app.command(rich_help_panel=PIPELINE)
def ingest(context: typer.Context, fleet: FleetOption = None) -> None:
    """Read raw files into the lake; what is refused goes to rejected/ with its reason."""
    _stage("ingest", context, fleet)


@app.command(rich_help_panel=PIPELINE)
def validate(context: typer.Context, fleet: FleetOption = None) -> None:
    """Judge every vehicle-day against the fleet file; quarantine those that fail."""
    _stage("validate", context, fleet)


@app.command(rich_help_panel=PIPELINE)
def prepare(context: typer.Context, fleet: FleetOption = None) -> None:
    """Resample, impute with flags, split by time, and write the window store."""
    _stage("prepare", context, fleet)


@app.command(rich_help_panel=PIPELINE)
def tune(context: typer.Context, fleet: FleetOption = None, cluster: ClusterOption = None) -> None:
    """Sweep masks and contrastive weights with Ray Tune, without labels."""
    _stage("tune", context, fleet, cluster)


@app.command(rich_help_panel=PIPELINE)
def train(context: typer.Context, fleet: FleetOption = None, cluster: ClusterOption = None) -> None:
    """Train AMAD with Ray Train; a run that was cut short goes on where it stopped."""
    _stage("train", context, fleet, cluster)


@app.command(rich_help_panel=PIPELINE)
def evaluate(context: typer.Context, fleet: FleetOption = None) -> None:
    """Calibrate, score the test part, and compare with the floor and the baselines."""
    _stage("evaluate", context, fleet)


@app.command(rich_help_panel=PIPELINE)
def register(context: typer.Context, fleet: FleetOption = None) -> None:
    """Put the detector into the MLflow registry and ask the gate to promote it."""
    _stage("register", context, fleet)


@app.command(rich_help_panel=DAILY)
def score(
    context: typer.Context,
    date: DateOption = None,
    from_: Annotated[str | None, typer.Option("--from", metavar="YYYY-MM-DD")] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="YYYY-MM-DD", help="Inclusive.")] = None,
    engine: Annotated[
        Literal["auto", "process", "ray"] | None,
        typer.Option(help="In this process or over Ray Data; default: the profile's."),
    ] = None,
    fleet: FleetOption = None,
    cluster: ClusterOption = None,
) -> None:
    """Score one date, a range, or (no date) everything new since the last run.

    The champion of the fleet scores. The same date scored again gives the same bytes.
    """
    if date and (from_ or to):
        raise typer.BadParameter("give --date, or --from and --to, not both.")
    if bool(from_) != bool(to):
        raise typer.BadParameter("--from and --to belong together.")
    first = _date(date or from_, "--date" if date else "--from")
    last = _date(date or to, "--date" if date else "--to")
    if first and last and last < first:
        raise typer.BadParameter(f"--to {last} is before --from {first}.")
    _stage("score", context, fleet, cluster, first=first, last=last, engine=engine)


def _date(text: str | None, option: str):
    from datetime import date

    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{option} {text!r} is no date like 2026-01-31.") from None


@app.command(rich_help_panel=DAILY)
def report(
    context: typer.Context,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Default: data/<fleet>/report.html.")
    ] = None,
    fleet: FleetOption = None,
) -> None:
    """Write the page of the last scoring run: one HTML file that needs no network."""
    result = _stage("report", context, fleet, out=out)
    print(result["path"])
