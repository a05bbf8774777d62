"""What the processes of ``stop_kit`` are forked with: engines and MLflow's stores, prepared.

Each process would otherwise take seconds for that.
"""

import alembic.command  # noqa: F401
import matplotlib.backends.backend_agg  # noqa: F401
import mlflow.pyfunc
import mlflow.store.db.utils
import mlflow.store.model_registry.sqlalchemy_store
import mlflow.store.tracking.sqlalchemy_store  # noqa: F401
import optuna  # noqa: F401
import pyarrow.dataset  # noqa: F401
import ray.train.torch  # noqa: F401
import scipy.stats  # noqa: F401
import sqlalchemy.dialects.sqlite  # noqa: F401
from mlflow.utils.requirements_utils import _init_modules_to_packages_map
from ray_kit import start_fewer_processes
from sqlalchemy.orm import configure_mappers

start_fewer_processes()
configure_mappers()
_init_modules_to_packages_map()  # reads the metadata of every installed package
