"""Great Expectations judges the profile of a fleet: which vehicle-days may be used, and why not.

The suites are code, built from the fleet file's ``quality`` limits; nothing is configured by hand.
GX has no Arrow engine, so it sees the profile, not the data: a row per vehicle-day, and a row per
vehicle-day and channel that the vehicle's class has. Where it is asked about the intake, also a row
per raw file, and a row per set of files with what was refused of it.
"""

import datetime
import html
import logging
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from amad.config import Fleet
from amad.engines.validate.datadocs import write_pages
from amad.engines.validate.verdict import Verdict
from amad.telemetry.refusals import Intake
from amad.telemetry.schemas import QUARANTINE
from amad.telemetry.temporary import temporary_folder
from amad.telemetry.trouble import Health

if TYPE_CHECKING:
    import pandas as pd

NO_SENSOR = "; if its sensor came later, set the channel's since to a later date"
# The tables that are judged; a failure in the last one is a failure of the fleet.
DAYS, CHANNELS, FILES, INTAKE = "vehicle-days", "channels", "files", "intake"
KEYS = {
    DAYS: ["vehicle", "date"],
    CHANNELS: ["vehicle", "date", "channel"],
    FILES: ["path"],
    INTAKE: ["scope"],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One limit on one figure of a table: at least, or at most.

    name: also the column of the figure that people are told. column: what GX compares, where that
    is another one. ceiling: the column of the limit that people are told, where each row has its
    own.
    """

    name: str
    table: str
    limit: float
    severity: Literal["warning", "critical"]
    title: str  # in the Data Docs
    says: str  # of a failing vehicle-day; {value} and {limit} are filled in
    least: bool = False
    column: str = ""
    ceiling: str = ""

    @property
    def judged(self) -> str:
        """The column that GX compares with the limit."""
        return self.column or self.name


def judge(
    profile: pa.Table,
    fleet: Fleet,
    docs: Path | None = None,
    intake: Intake | None = None,
    health: Health | None = None,
) -> Verdict:
    """Judge a profile (schema PROFILE) by the fleet's quality limits.

    docs: folder for the Data Docs (``index.html`` is the entry); None writes none, and needs no
    Great Expectations, whose import alone takes seconds. intake: what was refused of the raw files,
    to be judged too. health: what the Data Docs tell of what is missing.
    """
    tables, not_yet = _tables(profile, fleet), _not_yet(profile, fleet)
    checks = _checks(fleet)
    if intake is not None and intake.files:
        tables |= _intake_tables(intake)
        checks += _intake_checks(fleet)
    if docs is None:
        return _verdict(tables, checks, _compare(tables, checks), fleet, not_yet)
    with temporary_folder("gx") as folder:
        failed = _validate(tables, checks, fleet, folder)
        verdict = _verdict(tables, checks, failed, fleet, not_yet)
        write_pages(folder / "site", docs, fleet, verdict, intake, health)
    return verdict


def _checks(fleet: Fleet) -> list[Check]:
    limits = fleet.quality
    checks = [
        Check(
            name="rows", table=DAYS, limit=limits.min_rows, least=True, severity="critical",
            title="Rows of a vehicle-day", says="has {value:.0f} rows, at least {limit:.0f} needed",
        ),
        Check(
            name="duplicate_share", table=DAYS, limit=limits.max_duplicate_share,
            severity="warning", title="Repeated timestamps",
            says="repeats the timestamp in {value} of the rows sent, limit {limit}",
        ),
        Check(
            name="late_share", table=DAYS, limit=limits.max_late_share, severity="warning",
            title="Late rows", says="has {value} of the rows late, limit {limit}",
        ),
        Check(
            name="unreadable_share", table=DAYS, limit=limits.max_unreadable_share,
            severity="warning", title="Unreadable rows",
            says="has {value} of the rows sent unreadable, limit {limit}",
        ),
        Check(
            name="gap_share", table=DAYS, limit=limits.max_gap_share, severity="warning",
            title="Gaps in the time it reported",
            says="is silent for {value} of the time it reports, limit {limit}",
        ),
        Check(
            name="null_share", table=CHANNELS, limit=limits.max_null_share, severity="critical",
            title="Missing values", says="null in {value} of rows, limit {limit}",
        ),
        Check(
            name="out_of_range_share", table=CHANNELS, limit=limits.max_out_of_range_share,
            severity="critical", title="Values outside the physical range",
            says="outside its range in {value} of rows, limit {limit}",
        ),
    ]  # fmt: skip
    if any(channel.max_flat_seconds is not None for channel in fleet.channels):
        checks.append(Check(
            name="longest_flat_seconds", table=CHANNELS, limit=1.0, severity="critical",
            title="Stuck values", says="does not change for {value:.0f} s, limit {limit:.0f} s",
            column="flat_ratio", ceiling="max_flat_seconds",
        ))  # fmt: skip
    return checks


def _intake_checks(fleet: Fleet) -> list[Check]:
    """The same limit twice: a file above it is named, a set of files above it fails the fleet."""
    limit = fleet.quality.max_refused_share
    return [
        Check(
            name="file_refused_share", table=FILES, limit=limit, severity="warning",
            title="Refused rows of a file", says="", column="refused_share",
        ),
        Check(
            name="refused_share", table=INTAKE, limit=limit, severity="critical",
            title="Refused rows", says="",
        ),
        Check(
            name="refused_files_share", table=INTAKE, limit=limit, severity="critical",
            title="Refused files", says="",
        ),
    ]  # fmt: skip


def _intake_tables(intake: Intake) -> dict[str, "pd.DataFrame"]:
    """A row per raw file, and a row per set of files."""
    import pandas as pd

    figures = ("refused_share", "refused_files_share")
    files = [{"path": f.path, "refused_share": f.refused_share} for f in intake.files]
    sets = [
        {"scope": s.scope} | {name: getattr(s, name) for name in figures} for s in intake.scopes
    ]
    return {FILES: pd.DataFrame(files), INTAKE: pd.DataFrame(sets)}


def _tables(profile: pa.Table, fleet: Fleet) -> dict[str, "pd.DataFrame"]:
    """A row per vehicle-day, and a row per vehicle-day and channel that the vehicle has."""
    # Of a large fleet the driver holds these tables whole, so they have no column that none needs.
    profile = profile.set_column(1, "date", profile["date"].cast(pa.string()))
    columns = ["rows", "duplicates", "late", "unreadable", "gap_seconds", "span_seconds"]
    days = profile.select([*KEYS[DAYS], *columns]).to_pandas(strings_to_categorical=True)
    days = days.drop_duplicates(KEYS[DAYS], ignore_index=True)
    sent = days["rows"] + days["duplicates"] + days["unreadable"]
    days["duplicate_share"] = days["duplicates"] / sent
    days["unreadable_share"] = days["unreadable"] / sent
    days["late_share"] = days["late"] / sent
    days["gap_share"] = (days["gap_seconds"] / days["span_seconds"]).fillna(0.0)
    columns = ["rows", "nulls", "out_of_range", "longest_flat_seconds"]
    expected = profile.select([*KEYS[CHANNELS], *columns]).filter(profile["expected"])
    channels = expected.to_pandas(
        split_blocks=True, self_destruct=True, strings_to_categorical=True
    )
    for counted in ("nulls", "out_of_range"):
        name = "null_share" if counted == "nulls" else f"{counted}_share"
        channels[name] = channels.pop(counted) / channels["rows"]
    del channels["rows"]
    limits = {channel.name: channel.max_flat_seconds for channel in fleet.channels}
    channels["max_flat_seconds"] = channels["channel"].map(limits).astype(float)
    channels["flat_ratio"] = channels["longest_flat_seconds"] / channels["max_flat_seconds"]
    return {DAYS: days, CHANNELS: channels}


def _not_yet(profile: pa.Table, fleet: Fleet) -> dict[str, int]:
    """Channel -> vehicle-days up to its ``since``, of the vehicles that have it by now."""
    later = pa.array([channel.name for channel in fleet.channels if channel.since], pa.string())
    rows = profile.filter(
        pc.and_(pc.is_in(profile["channel"], later), pc.invert(profile["expected"]))
    )
    found: Counter[str] = Counter()
    for row in rows.select(["vehicle", "channel"]).to_pylist():
        classes = fleet.channel_by_name[row["channel"]].classes
        found[row["channel"]] += classes is None or fleet.class_of(row["vehicle"]) in classes
    return dict(sorted((+found).items()))


def _compare(tables: dict[str, "pd.DataFrame"], checks: list[Check]) -> dict[str, list[tuple]]:
    """What ``_validate`` finds, by plain comparison; a figure that is null fails nothing."""
    failed = {}
    for check in checks:
        table = tables[check.table]
        figure = table[check.judged]
        fails = figure < check.limit if check.least else figure > check.limit
        keys = table.loc[fails, KEYS[check.table]]
        failed[check.name] = list(keys.itertuples(index=False, name=None))
    return failed


def _validate(
    tables: dict[str, "pd.DataFrame"], checks: list[Check], fleet: Fleet, folder: Path
) -> dict[str, list[tuple]]:
    """Run the suites; per check the keys of the rows that fail. Pages lie in ``folder/site``."""
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig
    from great_expectations.expectations.metadata_types import FailureSeverity

    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    site: Any = {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "store_backend": {
            "class_name": "TupleFilesystemStoreBackend",
            "base_directory": str(folder / "site"),
        },
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
    }
    context.update_data_docs_site(site_name="local_site", site_config=site)
    source = context.data_sources.add_pandas(name=fleet.name)
    failed: dict[str, list[tuple]] = {}
    for name, table in tables.items():
        batch = source.add_dataframe_asset(name=name).add_batch_definition_whole_dataframe(name)
        of_table = {check.judged: check for check in checks if check.table == name}
        suite = gx.ExpectationSuite(
            name=f"{fleet.name} {name}",
            expectations=[
                gx.expectations.ExpectColumnValuesToBeBetween(
                    column=check.judged,
                    min_value=check.limit if check.least else None,
                    max_value=None if check.least else check.limit,
                    severity=FailureSeverity(check.severity),
                )
                for check in of_table.values()
            ],
        )
        validation = gx.ValidationDefinition(name=name, data=batch, suite=context.suites.add(suite))
        # GX puts what it finds into its pages as it stands: an id must not be markup there.
        escaped = table.assign(**{key: table[key].map(html.escape) for key in KEYS[name]})
        result = context.validation_definitions.add(validation).run(
            batch_parameters={"dataframe": escaped},
            result_format={
                "result_format": "COMPLETE",
                "unexpected_index_column_names": KEYS[name],
            },
        )
        for item in result.results:
            if item.exception_info.get("raised_exception"):
                raise RuntimeError(f"Great Expectations failed on {item.expectation_config}")
            assert item.expectation_config is not None
            check = of_table[item.expectation_config.kwargs["column"]]
            rows = item.result.get("unexpected_index_list") or []
            failed[check.name] = [
                tuple(html.unescape(row[key]) for key in KEYS[name]) for row in rows
            ]
    context.build_data_docs()
    return failed


def _verdict(
    tables: dict[str, "pd.DataFrame"],
    checks: list[Check],
    failed: dict[str, list[tuple]],
    fleet: Fleet,
    not_yet: dict[str, int],
) -> Verdict:
    indexed = {name: table.set_index(KEYS[name]) for name, table in tables.items()}
    rows, counts = [], []
    for check in checks:
        keys = sorted(failed[check.name])
        if check.table in (DAYS, CHANNELS):
            table = indexed[check.table]
            rows += [_quarantined(check, key, table.loc[key], fleet) for key in keys]
        count: dict[str, Any] = {
            "check": check.name, "title": check.title, "severity": check.severity,
            "limit": None if check.ceiling else check.limit, "of": len(tables[check.table]),
            "failed": len(keys), "passed": not keys,
        }  # fmt: skip
        if check.table == CHANNELS:
            count["channels"] = dict(sorted(Counter(channel for _, _, channel in keys).items()))
        counts.append(count)
    rows.sort(key=lambda row: (row["vehicle"], row["date"], row["check"], row["channel"] or ""))
    days, quarantined = len(tables[DAYS]), len({(row["vehicle"], row["date"]) for row in rows})
    return Verdict(
        days_ok=days > 0 and quarantined <= fleet.quality.max_failing_share * days,
        intake_ok=all(not failed[check.name] for check in checks if check.table == INTAKE),
        vehicle_days=days,
        quarantined=quarantined,
        quarantine=pa.Table.from_pylist(rows, schema=QUARANTINE),
        checks=counts,
        not_yet=not_yet,
    )


def _quarantined(check: Check, key: tuple, row: "pd.Series", fleet: Fleet) -> dict:
    """A row of the schema QUARANTINE."""
    vehicle, date, *channel = key
    value, limit = float(row[check.name]), float(row.get(check.ceiling, check.limit))
    shown: dict[str, Any] = {"value": value, "limit": limit}
    if check.name.endswith("_share"):
        shown = {name: _percent(share) for name, share in shown.items()}
    about = f"{channel[0]} " if channel else ""
    came = fleet.channel_by_name[channel[0]].since if channel else None
    later = NO_SENSOR if came and check.name == "null_share" and value == 1.0 else ""
    return {
        "vehicle": vehicle,
        "date": datetime.date.fromisoformat(date),
        "channel": channel[0] if channel else None,
        "check": check.name,
        "value": value,
        "limit": limit,
        "reason": f"{vehicle} on {date}: {about}{check.says.format(**shown)}{later}",
    }


def _percent(share: float) -> str:
    """A share as people write it: 34 %, but 2.1 % where whole per cents would hide the excess."""
    return f"{100 * share:.3g} %" if share < 0.1 else f"{100 * share:.0f} %"
