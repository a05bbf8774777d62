"""The stages of dvc.yaml, one thin file each: read params, call the library, write outputs."""

import sys
from collections.abc import Callable

from amad.config import Params, Settings, load_params, usable_error
from amad.config.console import say


def stage_main(run: Callable[[Params, Settings], dict]) -> None:
    """Run one stage with ``params.yaml`` and the machine's settings; exit with the error's code."""
    from amad.engines.environment import quiet

    quiet()
    try:
        settings = Settings()
        run(load_params(settings.params_file), settings)
    except Exception as error:
        if (known := usable_error(error)) is None:
            raise
        say(f"error: {known}")
        sys.exit(known.exit_code)
