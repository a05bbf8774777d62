"""The contracts between the stages: every table's schema, as code.

``check(table, schema, what)`` is called by every writer before it renames its file into place.
"""

import pyarrow as pa

from amad.config import DataError, Fleet

TIMESTAMP = pa.timestamp("us", tz="UTC")
VEHICLE, DATE = "vehicle", "date"  # hive keys of the lake: vehicle=<id>/date=<YYYY-MM-DD>/

# What ingest refused: nothing is dropped silently. ``content`` is the row as JSON.
REJECTED = pa.schema([
    ("file", pa.string()), ("row", pa.int64()), ("reason", pa.string()), ("content", pa.string()),
])  # fmt: skip

# The truth about events, where it is known. ``end`` is exclusive.
EVENTS = pa.schema([
    ("vehicle", pa.string()), ("start", TIMESTAMP), ("end", TIMESTAMP),
    ("channels", pa.list_(pa.string())), ("type", pa.string()), ("strength", pa.float64()),
])  # fmt: skip

# A row per vehicle, date and channel. ``rows`` and what follows up to ``span_seconds`` are of the
# vehicle-day and repeat for each of its channels. NaN never occurs: what is unknown is null.
# ``sha256`` is of the part that was profiled: a verdict holds for that content and no other.
PROFILE = pa.schema([
    ("vehicle", pa.string()), ("date", pa.date32()), ("channel", pa.string()),
    ("sha256", pa.string()),
    ("rows", pa.int64()), ("duplicates", pa.int64()), ("late", pa.int64()),
    ("unreadable", pa.int64()), ("gaps", pa.int64()), ("gap_seconds", pa.float64()),
    ("span_seconds", pa.float64()),
    ("nulls", pa.int64()), ("out_of_range", pa.int64()), ("min", pa.float64()),
    ("max", pa.float64()), ("mean", pa.float64()), ("std", pa.float64()),
    ("longest_flat_seconds", pa.float64()), ("resets", pa.int64()), ("decreases", pa.int64()),
    ("expected", pa.bool_()),
])  # fmt: skip

# Vehicle-days kept out of training, and of scoring unless only single sensors failed, and why.
QUARANTINE = pa.schema([
    ("vehicle", pa.string()), ("date", pa.date32()), ("channel", pa.string()),
    ("check", pa.string()), ("value", pa.float64()), ("limit", pa.float64()),
    ("reason", pa.string()),
])  # fmt: skip

# A row for each lake row of the scored dates. ``score``, and the ``threshold`` above which it is an
# alarm, are null where ``status`` is not "scored".
SCORES = pa.schema([
    ("vehicle", pa.string()), ("timestamp", TIMESTAMP), ("score", pa.float32()),
    ("threshold", pa.float32()), ("alarm", pa.bool_()), ("imputed", pa.bool_()),
    ("status", pa.string()),
    ("top_channels", pa.list_(pa.string())), ("top_shares", pa.list_(pa.float32())),
])  # fmt: skip
UNSCORED = {  # the other statuses, and why such a row has no score
    "no_history": "without a history to judge by",
    "no_values": "without a usable value",
    "quarantined": "quarantined",
    "too_short": "in too short a stretch between gaps",
}
REFUSED = "refused"  # status of a row that only the registered model can meet: see pyfunc_model

# A row per incident and scored date; an incident that goes on over midnight keeps its id.
INCIDENTS = pa.schema([
    ("incident_id", pa.string()), ("vehicle", pa.string()), ("vehicle_class", pa.string()),
    ("start", TIMESTAMP), ("end", TIMESTAMP), ("peak", TIMESTAMP), ("peak_score", pa.float64()),
    ("threshold", pa.float64()), ("return_days", pa.float64()),
    ("severity", pa.float64()), ("level", pa.string()), ("type", pa.string()),
    ("alarm_rows", pa.int64()), ("open_from", TIMESTAMP), ("open_until", TIMESTAMP),
    ("channels", pa.list_(pa.string())),
    ("shares", pa.list_(pa.float64())), ("deviation", pa.float64()), ("partner", pa.string()),
    ("context_channels", pa.list_(pa.string())), ("context_values", pa.list_(pa.float64())),
    ("past_gaps", pa.list_(pa.float64())), ("past_sizes", pa.list_(pa.float64())),
    ("class_gaps", pa.list_(pa.float64())), ("class_sizes", pa.list_(pa.float64())),
    ("peers", pa.list_(pa.int64())),
    ("model_version", pa.string()), ("data_hash", pa.string()), ("validation", pa.string()),
    ("continued", pa.bool_()),
])  # fmt: skip


def lake_schema(fleet: Fleet) -> pa.Schema:
    """Columns of one lake file: timestamp, a float64 per channel, and the label if there is one.

    The hive keys ``vehicle`` and ``date`` stand in the path alone.
    """
    fields = [("timestamp", TIMESTAMP)] + [(name, pa.float64()) for name in fleet.channel_names]
    if fleet.labels.kind in ("column", "intervals"):
        fields.append(("label", pa.int8()))
    return pa.schema(fields)


def check(table: pa.Table, schema: pa.Schema, what: str) -> pa.Table:
    """Return ``table`` if it has exactly ``schema``'s columns and types.

    Raises:
        DataError: names the table, the column, and both types.
    """
    if table.schema.equals(schema):
        return table
    if table.schema.names != schema.names:
        missing = [n for n in schema.names if n not in table.schema.names]
        extra = [n for n in table.schema.names if n not in schema.names]
        raise DataError(
            f"{what}: columns do not match the contract (missing: {missing or 'none'}, "
            f"unexpected: {extra or 'none'}, or in another order); run the stage that writes it"
        )
    for found, wanted in zip(table.schema, schema, strict=True):
        if found.type != wanted.type:
            raise DataError(
                f"{what}: column {found.name} is {found.type}, the contract says {wanted.type}; "
                "run the stage that writes it"
            )
    return table
