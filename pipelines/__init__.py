"""The stages of dvc.yaml, one thin file each: read params, call the library, write outputs."""

import sys
from collections.abc import Callable

from amad.config import AmadError, Params, Settings, load_params
from amad.config.console import say


def stage_main(run: Callable[[Params, Settings], dict]) -> None:
    """Run one stage with ``params.yaml`` and the machine's settings; exit with the error's code."""
    from amad.engines.environment import quiet

    quiet()
    try:
        settings = Settings()
        run(load_params(settings.params_file), settings)
    except AmadError as error:
        say(f"error: {error}")
        sys.exit(error.exit_code)
