"""The stages of dvc.yaml, one thin file each: read params, call the library, write outputs."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from amad.config import (
    ConfigError,
    InterruptionError,
    Params,
    Settings,
    Stage,
    load_fleet,
    load_params,
    usable_error,
)
from amad.config.console import never_silent, say
from amad.config.interruption import DVC_STAGE, interruptible

T = TypeVar("T")
P = ParamSpec("P")
Run = Callable[Concatenate[Params, Settings, P], T]


def follows_storage(stage: str) -> Callable[[Run[P, T]], Run[P, T]]:
    """Let a stage's ``run`` fetch what it needs before it works, and put what it made after.

    Nothing is fetched or put where the cluster profile names no storage. How a step of a night went
    is noted, see ``amad.scores.step_log``.
    """

    def decorate(run: Run[P, T]) -> Run[P, T]:
        @wraps(run)
        def whole(params: Params, settings: Settings, *args: P.args, **kwargs: P.kwargs) -> T:
            from amad.scores.step_log import STEPS, noted
            from amad.storage import step

            of = Stage.of(params, settings)
            with step(of, stage), noted(of.runs, stage) if stage in STEPS else nullcontext():
                return run(params, settings, *args, **kwargs)

        return whole

    return decorate


def stage_main(
    run: Callable[[Params, Settings], object],
    arguments: Sequence[str] | None = None,
    *,
    lasting: str | None = None,
) -> None:
    """Run one stage as a command; an error that a user can mend ends with its exit code.

    The command takes ``--fleet NAME`` (default: the one of ``params.yaml``).

    lasting: the file below ``data/<fleet>`` that the stage leaves, where it acts on more than files
    (the registry, the published scores). In a temporary experiment, which is thrown away, it does
    not run, and that file says so.
    """
    from amad.engines.shared.environment import quiet

    parser = argparse.ArgumentParser(
        description=sys.modules[run.__module__].__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--fleet", metavar="NAME", help="default: the one of params.yaml")
    fleet = parser.parse_args(arguments).fleet
    quiet()
    try:
        settings = Settings()
        _check_place(settings)
        params = load_params(settings.params_file, fleet)
        with interruptible(), never_silent():
            if lasting and settings.is_temporary:
                _leave_out(lasting, params, settings)
            else:
                run(params, settings)
    except KeyboardInterrupt:
        say(f"error: {InterruptionError()}")
        sys.exit(InterruptionError.exit_code)
    except Exception as error:
        if (known := usable_error(error)) is None:
            raise
        say(f"error: {known}")
        sys.exit(known.exit_code)


def _check_place(settings: Settings) -> None:
    """DVC looks for a stage's outputs in the folder in which it starts the stage."""
    if DVC_STAGE in os.environ and settings.home.resolve() != Path.cwd().resolve():
        raise ConfigError(
            f"AMAD_HOME is {settings.home}, but dvc runs this stage in {Path.cwd()}; unset "
            "AMAD_HOME, or run dvc in that folder"
        )


def _leave_out(file: str, params: Params, settings: Settings) -> None:
    from amad.telemetry.files import write_json

    reason = (
        "left out: this is a temporary experiment. To keep it, run 'dvc exp apply' with its name, "
        f"then 'dvc repro', in {settings.workspace}"
    )
    fleet = load_fleet(params.fleet, settings).name
    write_json(settings.fleet_dir(fleet) / file, {"fleet": fleet, "left_out": reason})
    say(reason)
