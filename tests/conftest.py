"""What several tests share: the real data's folder, and a project home of a test's own."""

import gc
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent
REAL_DATA = Path(os.environ.get("AMAD_DATA_DIR", "raw")).resolve()

# A busy machine is slow, not wrong; the same examples each time make a failure repeatable.
settings.register_profile("amad", deadline=None, derandomize=True)
settings.load_profile("amad")

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["RAY_AUTH_MODE"] = "disabled"  # Ray would write a token into the home directory
# At its niceness of 15 Ray's workers get a twelfth of a core beside a process that is busy.
os.environ.setdefault("RAY_worker_niceness", "0")

# Stores and lakes are synchronised to their disk at every step; in memory that takes no time.
MEMORY = Path("/dev/shm")
if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > 4 << 30:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))

# A shell lets what runs in the background ignore these, and tests of interruption start children.
for number, handler in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)


# Seconds that a test takes, in about; "timeout" marks one with a time limit of its own.
WEIGHTS = {"timeout": 90, "cluster": 60, "engine": 20, "slow": 2, "real_data": 1}


def pytest_configure(config: pytest.Config) -> None:
    """Processes that share the work take whole files in the order below, not by count of tests."""
    config.option.loadscopereorder = False


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Iterator[object]:
    """Collect without a search for garbage, which takes a tenth of the time: imports stay."""
    gc.disable()
    _import_a_share(session.config)
    result = yield
    gc.freeze()
    gc.enable()
    return result


def _import_a_share(config: pytest.Config) -> None:
    """Compile other test files than the processes beside this one, which find them compiled then.

    Each process imports all of them, and would compile the same file as the others at that moment.
    """
    folder = Path(__file__).parent
    name = os.environ.get("PYTEST_XDIST_WORKER")
    whole = [Path(arg).resolve() for arg in config.args] == [folder]
    if name is None or not whole or config.option.markexpr == "cluster":
        return
    count = int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    for file in sorted(folder.glob("test_*.py"))[int(name.removeprefix("gw")) :: count]:
        with suppress(Exception):  # it is told when the file is collected
            import_module(file.stem)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With ``-m cluster``, import no file without a test of a cluster: it takes 20 s in all."""
    alone = config.option.markexpr == "cluster" and collection_path.name.startswith("test_")
    return True if alone and "mark.cluster" not in collection_path.read_text("utf-8") else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with engines, which wait, beside files that compute; of both the longest first.

    A short file is what a process may be left with at the end.
    """
    engines: dict[Path, float] = defaultdict(float)
    others: dict[Path, float] = defaultdict(float)
    marks = {item: {mark.name for mark in item.iter_markers()} for item in items}
    with_engine = {item.path for item in items if marks[item] & {"cluster", "engine"}}
    for item in items:
        group = engines if item.path in with_engine else others
        group[item.path] += max((WEIGHTS.get(name, 0) for name in marks[item]), default=0) or 0.1
    place: dict[Path, float] = {}  # the share of its group's seconds that comes before a file
    for group in (engines, others):
        before = 0.0
        for path in sorted(group, key=lambda path: -group[path]):
            place[path] = before / sum(group.values())
            before += group[path]
    items.sort(key=lambda item: place[item.path])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object, error: object) -> None:
    """Tell what ended a process that died, which xdist does not: -9 is SIGKILL, 130 our own end."""
    if error is not None:
        process = node.gateway._io.popen  # type: ignore[attr-defined]
        with suppress(subprocess.TimeoutExpired):
            process.wait(5)
        memory = re.findall(r"Mem(?:Total|Available): +(.*)", Path("/proc/meminfo").read_text())
        print(f"\nexit code {process.returncode}; memory in all and free: {', '.join(memory)}")


@pytest.fixture(scope="session", autouse=True)
def _quiet_engines() -> None:
    from amad.engines.shared.environment import quiet

    quiet()


@pytest.fixture(scope="session", autouse=True)
def _ray() -> Iterator[None]:
    """What Ray leaves of each start, its logs above all, goes with the tests."""
    from ray_kit import start_fewer_processes

    folder = tempfile.mkdtemp(prefix="amad-")  # short, for the paths of sockets
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", folder)
        if "ray" in sys.modules:
            start_fewer_processes()
        yield
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def _pages(_shared: None) -> Iterator[None]:
    """Great Expectations compiles the templates of its pages once for all tests.

    It takes a sixth of the time of a validation.
    """
    import jinja2
    import shared_kit

    from amad.engines.validate import quality

    assert shared_kit.FOLDER is not None
    (folder := shared_kit.FOLDER / "pages").mkdir(exist_ok=True)
    kept, sound = jinja2.FileSystemBytecodeCache(str(folder)), quality._validate

    def validate(*arguments: object) -> dict:
        from great_expectations.render.view import view

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(view, "Environment", partial(jinja2.Environment, bytecode_cache=kept))
            return sound(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quality, "_validate", validate)
        yield


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of the real data sets; the test is skipped where they are not."""
    if not (REAL_DATA / "smd").is_dir():
        pytest.skip("AMAD_DATA_DIR names no folder with the real data sets")
    return REAL_DATA


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project home with the checkout's conf/ and params.yaml, named by AMAD_HOME.

    The fleet is demo, whichever the checkout works on.
    """
    home = tmp_path / "home"
    home.mkdir()
    shutil.copytree(ROOT / "conf", home / "conf")
    params = (ROOT / "params.yaml").read_text()
    params = re.sub(r"(?m)^fleets:.*(\n *- .*)*$", "fleets: [demo]", params)
    (home / "params.yaml").write_text(params)
    monkeypatch.setenv("AMAD_HOME", str(home))
    monkeypatch.setenv("AMAD_DATA_DIR", str(home / "raw"))  # tests write raw files of their own
    for name in ("MLFLOW_TRACKING_URI", "AMAD_MLFLOW_URI", "AMAD_CLUSTER"):
        monkeypatch.delenv(name, raising=False)
    return home


@pytest.fixture
def yard(tmp_path: Path):
    """A project home with a folder of raw files, both empty."""
    from ingest_kit import Yard

    return Yard(tmp_path)


@pytest.fixture
def field(tmp_path: Path):
    """A folder of raw files to draft from, empty."""
    from draft_kit import Field

    return Field(tmp_path)


@pytest.fixture(scope="session", autouse=True)
def _shared(tmp_path_factory: pytest.TempPathFactory) -> None:
    import shared_kit

    folder = tmp_path_factory.getbasetemp()
    shared_kit.FOLDER = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@pytest.fixture(scope="session")
def champion_home() -> Path:
    """A home with a champion of the fleet ``nights`` (see scoring_kit) and nothing scored.

    Nothing may change it: other processes copy it.
    """
    from engine_kit import with_tracking_store
    from scoring_kit import make_artifacts, make_lake, validated
    from shared_kit import made_once

    from pipelines import register

    def make(home: Path) -> None:
        fleet, settings = make_lake(with_tracking_store(home))
        shutil.copytree(ROOT / "conf" / "cluster", home / "conf" / "cluster")
        validated(fleet, settings)
        register.run(make_artifacts(fleet, settings, members=["innovation", "amad"]), settings)

    return made_once("champion", make)


@pytest.fixture
def place(champion_home: Path, tmp_path: Path):
    """(fleet, settings) of a copy of it, for a test to change; artifacts stay where they are."""
    from amad.config import Settings, load_fleet

    home = tmp_path / "home"
    shutil.copytree(champion_home, home)
    settings = Settings(home=home, data_dir=home / "raw")
    return load_fleet("nights", settings), settings


@pytest.fixture
def web():
    """A real HTTP server on loopback, see ``notify_kit``."""
    from notify_kit import HttpServer, closing

    with closing(HttpServer()) as server:
        yield server


@pytest.fixture
def post():
    """A real SMTP server on loopback, see ``notify_kit``."""
    from notify_kit import SmtpServer, closing

    with closing(SmtpServer()) as server:
        yield server


@pytest.fixture(scope="session")
def database_server():
    """A real PostgreSQL server, see ``postgres_kit``; a test that stops it starts it again."""
    from postgres_kit import postgres_server

    with postgres_server() as running:
        yield running
