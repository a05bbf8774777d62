"""The tables that ``amad export`` keeps, as code; ``docs/guide/export.md`` explains the columns.

Every row has a key of its own, so exporting twice changes nothing. ``FORMAT`` is raised when a
column changes; the database says which format its tables have.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Double,
    Integer,
    MetaData,
    String,
    Table,
)

FORMAT = 6
METADATA = MetaData()
TIME = DateTime(timezone=True)

ABOUT = Table("amad_about", METADATA, Column("format", Integer, primary_key=True))

# A row per date that is exported; sha256: of its manifest's content, and of the incidents that were
# judged false or planned, to see whether it changed.
DATES = Table(
    "amad_dates",
    METADATA,
    Column("fleet", String, primary_key=True),
    Column("date", Date, primary_key=True),
    Column("model_version", Integer, nullable=False),
    Column("detector", String, nullable=False),
    Column("sha256", String, nullable=False),
)

# severity and level: the highest of the incidents of that day that nobody judged false or planned;
# null where there is none. withheld: channels that failed their checks, without which the day is
# scored.
VEHICLE_DAYS = Table(
    "amad_vehicle_days",
    METADATA,
    Column("fleet", String, primary_key=True),
    Column("date", Date, primary_key=True),
    Column("vehicle", String, primary_key=True),
    Column("rows", BigInteger, nullable=False),
    Column("scored", BigInteger, nullable=False),
    Column("alarms", BigInteger, nullable=False),
    Column("incidents", Integer, nullable=False),
    Column("highest_score", Double),
    Column("severity", Double),
    Column("level", String),
    Column("quarantined", Boolean, nullable=False),
    Column("model_version", Integer, nullable=False),
    Column("withheld", JSON),
)

# One row per incident, also of one that goes on over several dates. withdrawn: its dates were
# scored again and it is no longer among their incidents; the other columns are what it was.
# cause_id: of the first of the incidents with which it is told as one; cause: their headline.
# judged: the newest verdict (true, false, planned), null where nobody said anything.
INCIDENTS = Table(
    "amad_incidents",
    METADATA,
    Column("incident_id", String, primary_key=True),
    Column("fleet", String, nullable=False, index=True),
    Column("vehicle", String, nullable=False),
    Column("vehicle_class", String, nullable=False),
    Column("start_at", TIME, nullable=False, index=True),
    Column("end_at", TIME, nullable=False),
    Column("peak_at", TIME, nullable=False),
    Column("peak_score", Double, nullable=False),
    Column("threshold", Double, nullable=False),
    Column("severity", Double, nullable=False),
    Column("level", String, nullable=False),
    Column("type", String, nullable=False),
    Column("alarm_rows", BigInteger, nullable=False),
    Column("channels", JSON, nullable=False),
    Column("shares", JSON, nullable=False),
    Column("deviation", Double, nullable=False),
    Column("partner", String, nullable=False),
    Column("last_date", Date, nullable=False),
    Column("ongoing", Boolean, nullable=False),
    Column("withdrawn", Boolean, nullable=False),
    Column("model_version", Integer, nullable=False),
    Column("return_days", Double),
    Column("context", JSON),
    Column("past_gaps", JSON),
    Column("class_gaps", JSON),
    Column("class_sizes", JSON),
    Column("peers", JSON),
    Column("cause_id", String),
    Column("cause", String),
    Column("past_sizes", JSON),
    Column("judged", String),
)
