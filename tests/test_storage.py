"""A fleet whose truth lies in an object store: any machine takes over, with the same bytes."""

import json
import os
import signal
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import boto3
import pytest
from s3_kit import keys, s3_server
from scoring_kit import AFTER, FLEET
from storage_kit import (
    in_a_process,
    killed_in_a_long_step,
    killed_in_a_step,
    killed_while_putting,
    machine,
    place_of,
    put,
    read,
    small,
    stage_of,
    write,
)
from storage_nights_kit import (
    PARAMS,
    bytes_of,
    judge_days,
    killed_after_a_date,
    lake_parts,
    moved_in,
    read_the_lake,
    send,
    whole_night,
)

from amad.config import DataError, ServiceError
from amad.storage import edit, lease, look, put_finished, state, step, steps
from amad.storage.objects import Objects
from amad.storage.roots import Root
from amad.storage.scratch import Scratch
from pipelines import ingest, score, validate

BUCKET = "amad-fleets"
STORE = "data/store/"  # no step of the night asks for it


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with s3_server(BUCKET) as address:
        yield address


@pytest.fixture
def address(server: str, tmp_path: Path) -> str:
    return f"s3://{BUCKET}/{tmp_path.name}"


def of_fleet(address: str, below: str) -> list[str]:
    prefix = f"{address.removeprefix(f's3://{BUCKET}/')}/{FLEET}/"
    return [key.removeprefix(prefix) for key in keys(BUCKET, f"{prefix}{below}")]


@pytest.mark.slow
def test_two_machines_in_turn_give_the_bytes_of_one_disk(address: str, place):
    _, settings = place
    home = settings.home
    alone = moved_in(home, "alone", None)
    first, second = moved_in(home, "first", address), machine(home, "second", address)
    for number, one in enumerate((first, second, first, machine(home, "third", address))):
        send(settings, [AFTER + timedelta(days=number)])
        assert whole_night(one) == whole_night(alone)
        read_the_lake(one)
        assert bytes_of(one, STORE) == bytes_of(alone, STORE)
    # What lies there is what a reader of Parquet finds, and nothing of the past.
    names = [key.rpartition("/")[2] for key in of_fleet(address, "runs/scores/")]
    assert sum(name.startswith("part-") for name in names) == len(names) / 2 > 3


@pytest.mark.slow
def test_the_job_of_a_machine_that_was_killed_is_done_by_another(address: str, place):
    """Killed after the first of several dates; when it comes back, it takes what the other made."""
    _, settings = place
    home = settings.home
    alone, first = moved_in(home, "alone", None), moved_in(home, "first", address)
    send(settings, [AFTER, AFTER + timedelta(days=1)])
    wanted = whole_night(alone)
    ingest.run(PARAMS, first)
    judge_days(first)
    second = machine(home, "second", address)
    assert in_a_process(killed_after_a_date, first) == -signal.SIGKILL
    begun = sorted(first.runs_dir(FLEET).glob("scores/*/date=*"))
    assert len(begun) == 1
    # What tells of the last run of ingest, and the log of the killed job on the pages, differ.
    told = (STORE, "data/ingest.json", "runs/reports/")
    assert whole_night(second) == wanted
    read_the_lake(second)
    assert bytes_of(second, *told) == bytes_of(alone, *told)
    assert whole_night(first) == wanted and bytes_of(first, *told) == bytes_of(alone, *told)


@pytest.mark.slow
def test_a_night_on_an_empty_disk_fetches_the_parts_that_it_reads(
    address: str, place, monkeypatch: pytest.MonkeyPatch
):
    _, settings = place
    home = settings.home
    alone, first = moved_in(home, "alone", None), moved_in(home, "first", address)
    night = (ingest, validate, score)
    second = machine(home, "second", address)
    for number, machines in enumerate(((alone, first), (alone, second))):
        send(settings, [AFTER + timedelta(days=number)])
        for one in machines:
            for stage in night:
                stage.run(PARAMS, one)
    dates = {path.parent.name for path in lake_parts(second)}
    assert dates == {f"date={AFTER + timedelta(days=n)}" for n in (0, 1, 2)}
    assert len(lake_parts(second)) < len(lake_parts(alone))
    # What was never fetched still belongs to the lake, for this machine and for the next one.
    third = machine(home, "third", address)
    look(stage_of(third), "status")
    assert not lake_parts(third)
    of_the_run = (STORE, "data/docs", "data/ingest.json", "data/scoring.json")
    for one in (second, third):
        read_the_lake(one)
        assert len(lake_parts(one)) == len(lake_parts(alone))
    assert bytes_of(second, *of_the_run) == bytes_of(alone, *of_the_run)
    # DVC compares whole folders.
    with monkeypatch.context() as by_dvc:
        by_dvc.setenv("DVC_STAGE", "validate@nights")
        fifth = machine(home, "fifth", address)
        with step(stage_of(fifth), "validate"):
            assert len(lake_parts(fifth)) == len(lake_parts(alone))
    # A part that is gone from the storage is told by its name.
    fourth, objects = machine(home, "fourth", address), Objects(f"{address}/{FLEET}")
    look(stage_of(fourth), "status")
    (key, *_) = [key for key in of_fleet(address, "data/lake/") if f"date={AFTER}" in key]
    objects.delete([key])
    with pytest.raises(ServiceError, match=r"does not have data/lake/vehicle=.* any more"):
        read_the_lake(fourth)


def test_an_upload_that_was_killed_is_never_taken_and_is_made_up_for(address: str, tmp_path: Path):
    one, two = (small(tmp_path, name, address) for name in ("one", "two"))
    put(one, lake_a="1", lake_b="1")
    for at in range(1, 5):  # two files, a manifest, a root
        texts = {"lake_a": f"2 {at}", "lake_c": f"2 {at}"}
        assert in_a_process(killed_while_putting, one, at, texts) == -signal.SIGKILL
        with step(stage_of(two), "ingest"):  # elsewhere: the state before
            assert read(two, "data/lake/a") == ("1" if at == 1 else f"3 {at - 1}")
        with step(stage_of(one), "ingest"):  # here: what was finished
            assert read(one, "data/lake/c") == f"2 {at}"
        put(one, lake_a=f"3 {at}")
        with step(stage_of(two), "ingest"):
            assert read(two, "data/lake/c") == f"2 {at}"
        assert len(of_fleet(address, "data/lake/")) == 3


def boto3_read(address: str, key: str) -> bytes:
    prefix = address.removeprefix(f"s3://{BUCKET}/")
    found = boto3.client("s3").get_object(Bucket=BUCKET, Key=f"{prefix}/{FLEET}/{key}")
    return found["Body"].read()


def test_of_two_jobs_one_is_refused_by_name(address: str, tmp_path: Path):
    one, two = (small(tmp_path, name, address) for name in ("one", "two"))
    with step(stage_of(one), "score"):
        with pytest.raises(ServiceError) as told, step(stage_of(two), "ingest"):
            pytest.fail("two at once")
        for word in ("'score'", f"process {os.getpid()}", socket.gethostname(), "wait for it"):
            assert word in str(told.value)
        look(stage_of(two), "status")  # whoever only reads is not kept waiting
        assert f"held by 'score', process {os.getpid()}" in state(stage_of(two))
    assert "held by nobody" in state(stage_of(two))
    with step(stage_of(two), "ingest"):
        pass


def test_who_was_silent_for_too_long_puts_nothing(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    one, two = (small(tmp_path, name, address) for name in ("one", "two"))
    put(two, lake_a="before")
    told = r"silent .* 'ingest', process .* has taken over"
    with pytest.raises(ServiceError, match=told), step(stage_of(one), "ingest"):
        write(one, "data/lake/a", "of the one that was silent")
        with monkeypatch.context() as later:
            later.setattr(lease, "EXPIRES", -1.0)
            put(two, lake_a="of the other")
    with step(stage_of(one), "ingest"):
        assert read(one, "data/lake/a") == "of the other"


def test_a_process_that_died_on_this_machine_is_not_waited_for(address: str, tmp_path: Path):
    one = small(tmp_path, "one", address)

    assert in_a_process(killed_in_a_step, one) == -signal.SIGKILL
    put(one, lake_a="after")
    # A process elsewhere cannot be asked: its lease has to expire.
    key = of_fleet(address, "leases/")[-1]
    content = json.loads(boto3_read(address, key)) | {"released": False, "host": "elsewhere"}
    objects = Objects(f"{address}/{FLEET}")
    objects.put(key, json.dumps(content).encode())
    with pytest.raises(ServiceError, match="on elsewhere"), step(stage_of(one), "score"):
        pytest.fail("it may be alive")


def test_a_long_step_puts_what_it_has_finished(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    one, two = (small(tmp_path, name, address) for name in ("one", "two"))
    put_finished()  # nothing where no step is running
    assert in_a_process(killed_in_a_long_step, one) == -signal.SIGKILL
    look(stage_of(two), "ingest")
    assert read(two, "data/lake/a") == "first"
    with step(stage_of(one), "ingest"):
        assert read(one, "data/lake/a") == "second"
    monkeypatch.setattr(steps, "PUT_SECONDS", 0.0)
    with (
        pytest.raises(ServiceError, match="has taken over"),
        step(stage_of(one), "ingest"),
        monkeypatch.context() as later,
    ):
        write(one, "data/lake/a", "in vain")
        later.setattr(lease, "EXPIRES", -1.0)
        put(two, lake_b="of the other")
        put_finished()
        pytest.fail("it goes on in vain")


def test_what_fails_keeps_what_it_finished(address: str, tmp_path: Path):
    one, two = (small(tmp_path, name, address) for name in ("one", "two"))
    with pytest.raises(ZeroDivisionError), step(stage_of(one), "ingest"):
        write(one, "data/lake/a", "finished")
        write(one, "data/lake/.stage-1-b", "not finished")
        raise ZeroDivisionError
    with step(stage_of(two), "ingest"):
        assert read(two, "data/lake/a") == "finished"
        assert read(two, "data/lake/.stage-1-b") is None


def test_a_disk_is_made_equal_to_the_storage(address: str, tmp_path: Path):
    """Damage, files too many and artifacts that are gone; a step fetches only what it needs."""
    one, two = (small(tmp_path, name, address) for name in ("one", "two"))
    put(one, lake_a="a", lake_b="b", gone="g", store_s="s", raw_r="r")
    write(one, "runs/ray/checkpoint", "of this machine")
    put(one, "prepare", store_s="s")
    with step(stage_of(two), "ingest"):
        write(two, "data/lake/b", "changed")
        assert read(two, "data/gone") == "g" and read(two, "data/store/s") is None
        assert read(two, "data/raw/r") == "r" and not place_of(two, "runs/ray").exists()
    write(two, "data/lake/a", "damaged")
    write(two, "data/lake/too/many", "x")
    with step(stage_of(one), "ingest"):
        assert read(one, "data/lake/b") == "changed"
        one.fleet_dir(FLEET).joinpath("gone").unlink()
    with step(stage_of(two), "ingest"):
        assert read(two, "data/lake/a") == "a"
        assert read(two, "data/lake/too/many") is None and read(two, "data/gone") is None


def test_damage_in_the_storage_is_told(address: str, tmp_path: Path):
    one, two = (small(tmp_path, name, address) for name in ("one", "two"))
    put(one, lake_a="a")
    objects, fleet = Objects(f"{address}/{FLEET}"), stage_of(two)
    (key,) = of_fleet(address, "data/lake/")
    objects.put(key, b"b")
    with pytest.raises(ServiceError, match=f"{key} is damaged"), step(fleet, "ingest"):
        pytest.fail("it is damaged")
    objects.delete([key])
    with pytest.raises(ServiceError, match="lacks a file"), step(fleet, "ingest"):
        pytest.fail("it is gone")
    objects.put(key, b"a")
    (manifest,) = of_fleet(address, "manifests/data/lake")
    good = objects.read(manifest)
    objects.put(manifest, b"{}")
    with pytest.raises(ServiceError, match=f"{manifest} is damaged"), step(fleet, "ingest"):
        pytest.fail("its manifest is damaged")
    objects.put(manifest, good or b"")
    root = of_fleet(address, "roots/")[-1]
    objects.put(root, (objects.read(root) or b"").replace(b"ingest", b"infest"))
    with pytest.raises(ServiceError, match=f"{root} is damaged"), step(fleet, "ingest"):
        pytest.fail("its root is damaged")
    objects.delete(of_fleet(address, "roots/"))
    with step(fleet, "ingest"):
        assert read(two, "data/lake/a") is None  # it never had the file
    objects.delete(of_fleet(address, "roots/"))
    put(one, lake_b="b")  # whoever has it puts all of it anew
    with step(fleet, "ingest"):
        assert (read(two, "data/lake/a"), read(two, "data/lake/b")) == ("a", "b")


def test_an_edit_goes_in_beside_a_step(address: str, tmp_path: Path):
    """A verdict is kept while a job runs elsewhere, which does not take it back."""
    one, two = (small(tmp_path, name, address) for name in ("one", "two"))
    put(one, lake_a="a")
    with step(stage_of(one), "score"):
        write(one, "data/scoring.json", "{}")
        with edit(stage_of(two), "runs/feedback.json"):
            write(two, "runs/feedback.json", '{"incidents": {}, "said": "elsewhere"}')
    look(stage_of(one), "feedback")
    assert "elsewhere" in (read(one, "runs/feedback.json") or "")
    assert read(one, "data/scoring.json") == "{}"
    name = "runs/feedback.json"
    told = r"runs/feedback\.json .* changed by somebody else"
    with pytest.raises(ServiceError, match=told), edit(stage_of(one), name):
        with edit(stage_of(two), name):
            write(two, name, "{}")
        write(one, name, '{"other": 1}')


def test_a_storage_that_is_away_is_told(tmp_path: Path, address: str, monkeypatch):
    from amad.storage import objects

    one = small(tmp_path, "one", address)
    put(one, lake_a="a")
    monkeypatch.setattr(objects, "RETRIES", 0)
    with monkeypatch.context() as away:
        away.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        with pytest.raises(ServiceError, match="does not answer"), step(stage_of(one), "ingest"):
            pytest.fail("it is away")
    nowhere = machine(tmp_path / "home", "nowhere", "s3://no-such-bucket/x")
    with pytest.raises(ServiceError, match="no-such-bucket"), step(stage_of(nowhere), "ingest"):
        pytest.fail("there is no such bucket")
    # One that goes away while the step works: what was done is put by the next step.
    with (
        monkeypatch.context() as away,
        pytest.raises(ServiceError, match="does not answer"),
        step(stage_of(one), "ingest"),
    ):
        write(one, "data/lake/a", "while it was away")
        away.setattr(objects.Objects, "create", refused)
    with step(stage_of(one), "ingest"):
        assert read(one, "data/lake/a") == "while it was away"
    with step(stage_of(small(tmp_path, "two", address)), "ingest"):
        pass
    assert (tmp_path / "two" / "data" / FLEET / "lake" / "a").read_text() == "while it was away"


def refused(self: Objects, *_: object) -> None:
    with self._told():
        raise PermissionError("403")


def test_a_disk_that_may_not_be_written_is_not_the_storage_s_fault(tmp_path: Path, monkeypatch):
    objects, real = Objects(str(tmp_path / "store")), Path.open
    objects.put("data/a", b"1")

    def closed(self: Path, *arguments: str):
        if "here" in self.parts:
            raise PermissionError(13, "Permission denied", str(self))
        return real(self, *arguments)

    monkeypatch.setattr(Path, "open", closed)
    with pytest.raises(PermissionError, match="here/a"):
        objects.download("data/a", tmp_path / "here" / "a")


def test_the_error_of_a_step_is_told_also_where_its_work_cannot_be_put(
    tmp_path: Path, monkeypatch, capsys
):
    one = small(tmp_path, "one", str(tmp_path / "store"))

    def unreadable(*_: object, **__: object) -> None:
        raise DataError("data/lake/a cannot be read")

    monkeypatch.setattr(Scratch, "put", unreadable)
    with pytest.raises(ZeroDivisionError), step(stage_of(one), "ingest"):
        raise ZeroDivisionError
    assert "data/lake/a cannot be read" in capsys.readouterr().err


def test_a_folder_is_a_storage_as_well(tmp_path: Path):
    one, two = (small(tmp_path, name, str(tmp_path / "shared")) for name in ("one", "two"))
    put(one, lake_a="a")
    put(two, lake_a="b", lake_b="b")
    with step(stage_of(one), "ingest"):
        assert (read(one, "data/lake/a"), read(one, "data/lake/b")) == ("b", "b")
        with pytest.raises(ServiceError, match="'ingest'"), step(stage_of(two), "score"):
            pytest.fail("two at once")
    assert Root.newest(Objects(str(tmp_path / "shared" / FLEET))).number == 2
