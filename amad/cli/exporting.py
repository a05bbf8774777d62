"""The command ``export``: the published scores and incidents into a database."""

from typing import TYPE_CHECKING, Annotated

import typer

from amad.cli.running import FleetsOption, for_each_fleet

if TYPE_CHECKING:
    from amad.config import Stage


def export(
    context: typer.Context,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="ADDRESS",
            help="postgresql://user@host/database or sqlite:////path; the password stands in "
            "AMAD_EXPORT_PASSWORD.",
        ),
    ],
    fleet: FleetsOption = None,
) -> None:
    """Bring a database's tables amad_* up to the published incidents and daily scores.

    What is there already is not written again.
    """
    from amad.export.database import address_of
    from amad.export.export import export as write

    url = address_of(to)

    def work(stage: "Stage") -> None:
        from amad.config import DataError
        from amad.config.wording import count, some
        from amad.scores.step_log import noted
        from amad.storage import look

        look(stage, "export")
        with noted(stage.runs, "export"):
            done = write(stage, url)
            if done.left_out:
                print(done)
                raise DataError(
                    f"{count(len(done.left_out), 'date')} that cannot be read, left as before in "
                    f"the database: {some(done.left_out, 3)}; run 'amad score', which mends that, "
                    "and export again"
                )
        print(done)

    for_each_fleet(context, fleet, work)
