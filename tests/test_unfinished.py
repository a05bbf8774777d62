"""What a killed process leaves beside the files that it wrote is gone after the next one."""

import multiprocessing
import os
import signal
from pathlib import Path

import pytest
from scoring_kit import FLEET, START, run_job
from test_full_disk import content_of

from amad.telemetry.files import staged, write_json
from amad.telemetry.temporary import remove_leftovers, remove_unfinished, temporary_folder

CONTEXT = multiprocessing.get_context("spawn")
SECONDS = 60


def writing(target: Path, ready) -> None:
    with staged(target) as stage:
        stage.touch()
        ready.set()
        signal.pause()


def test_what_is_being_written_stays_and_goes_once_its_writer_was_killed(tmp_path: Path):
    ready = CONTEXT.Event()
    process = CONTEXT.Process(target=writing, args=(tmp_path / "log.json", ready))
    process.start()
    assert ready.wait(SECONDS)
    remove_unfinished(tmp_path)
    assert len(list(tmp_path.glob(".stage-*"))) == 1, "its process is alive"
    write_json(tmp_path / "other.json", {})
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    remove_unfinished(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["other.json"]
    remove_unfinished(tmp_path / "gone")
    remove_unfinished(tmp_path / "other.json")


def test_a_temporary_folder_is_written_into_by_its_own_process():
    with temporary_folder("card") as folder:
        write_json(folder / "card.json", {})
        remove_leftovers()
        assert (folder / "card.json").is_file()


def test_a_folder_that_was_swapped_out_comes_back_where_nothing_replaced_it(tmp_path: Path):
    for name in (".old-01234567-docs", ".old-01234567-site", "site", ".old"):
        (tmp_path / name).mkdir()
    remove_unfinished(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".old", "docs", "site"]


@pytest.mark.engine
def test_a_scoring_job_removes_what_killed_commands_left_of_the_fleet(place):
    """Also in a home whose name holds what is a pattern elsewhere."""
    fleet, settings = place
    settings = settings.model_copy(
        update={"home": settings.home.rename(settings.home.with_name("h[x]*{a}"))}
    )
    settings = settings.model_copy(update={"data_dir": settings.home / "raw"})
    run_job(fleet, settings, first=START, last=START)
    runs, folder = settings.runs_dir(FLEET), settings.fleet_dir(FLEET)
    whole = content_of(runs / "scores")
    (partition,) = (runs / "scores").glob("*/date=*")
    partition.rename(partition.with_name(f".old-01234567-{partition.name}"))
    for place_of in (folder, runs, runs / "jobs", runs / "state", runs / "told"):
        place_of.mkdir(exist_ok=True)
        (place_of / ".stage-01234567-x.json").touch()
    (folder / ".stage-01234567-docs").mkdir()
    run_job(fleet, settings, first=START, last=START)
    left = [*folder.rglob(".stage-*"), *runs.rglob(".stage-*"), *runs.rglob(".old-*")]
    assert not left and content_of(runs / "scores") == whole


def test_an_error_names_the_file_and_not_what_it_is_called_until_it_is_whole(tmp_path: Path):
    with pytest.raises(FileNotFoundError) as error, staged(tmp_path / "docs") as stage:
        (stage / "index.html").touch()
    assert error.value.filename == str(tmp_path / "docs" / "index.html")
