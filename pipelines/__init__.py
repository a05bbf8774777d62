"""The stages of dvc.yaml, one thin file each: read params, call the library, write outputs."""

import argparse
import sys
from collections.abc import Callable, Sequence

from amad.config import InterruptionError, Params, Settings, load_params, usable_error
from amad.config.console import say
from amad.config.interruption import interruptible


def stage_main(
    run: Callable[[Params, Settings], dict], arguments: Sequence[str] | None = None
) -> None:
    """Run one stage on ``--fleet NAME`` (default: the one of ``params.yaml``), with this machine's
    settings; exit with the error's code."""
    from amad.engines.environment import quiet

    parser = argparse.ArgumentParser(description=sys.modules[run.__module__].__doc__)
    parser.add_argument("--fleet", metavar="NAME", help="default: the one of params.yaml")
    fleet = parser.parse_args(arguments).fleet
    quiet()
    try:
        settings = Settings()
        with interruptible():
            run(load_params(settings.params_file, fleet), settings)
    except KeyboardInterrupt:
        say(f"error: {InterruptionError()}")
        sys.exit(InterruptionError.exit_code)
    except Exception as error:
        if (known := usable_error(error)) is None:
            raise
        say(f"error: {known}")
        sys.exit(known.exit_code)
