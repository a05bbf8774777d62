"""The night of each fleet as an Airflow 3 DAG. Copy it into Airflow's folder of DAGs.

Airflow runs in an environment of its own. ``amad`` must be on the PATH of its workers, AMAD_HOME
must name the project's folder, and FLEETS the fleets. A run scores everything new, so it also makes
up for a night that was missed; one date is scored with

    airflow dags trigger amad_demo --conf '{"date": "2026-01-31"}'
"""

import os
from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Param

# The exit code of a command fails its task; another try comes ten minutes later.
TRIES = {"retries": 2, "retry_delay": timedelta(minutes=10), "append_env": True}

for fleet in os.environ.get("FLEETS", "demo").split():
    with DAG(
        f"amad_{fleet}",
        schedule="30 4 * * *",
        start_date=datetime(2026, 1, 1),
        catchup=False,
        max_active_runs=1,
        dagrun_timeout=timedelta(hours=12),
        default_args=TRIES,
        params={"date": Param(None, type=["null", "string"], format="date")},
    ) as dag:
        commands = {
            "ingest": "",
            "validate": "",
            "score": "{{ '--date ' ~ params.date if params.date else '' }}",
        }
        steps = [
            BashOperator(task_id=name, bash_command=f"amad {name} --fleet {fleet} {options}")
            for name, options in commands.items()
        ]
        # In any case: what failed is on the page. The state of the run is that of the three before.
        page = BashOperator(task_id="report", bash_command=f"amad report --fleet {fleet}")
        steps[0] >> steps[1] >> steps[2] >> page.as_teardown()
    globals()[dag.dag_id] = dag
