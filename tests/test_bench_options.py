"""The options of benchmarks: their help is whole, and a count of none is refused."""

import argparse
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import pytest

import bench
from bench import performance
from bench.nights import __main__ as nights
from bench.options import positive

BENCH = Path(performance.__file__).parent


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "", "many"])
def test_a_count_of_none_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="no whole number above 0"):
        positive(text)


def test_no_nights_are_no_nights_without_a_violation(capsys):
    with pytest.raises(SystemExit) as ended:
        nights.main(["--seeds", "0"])
    assert ended.value.code == 2
    assert "'0' is no whole number above 0" in capsys.readouterr().err


def test_every_benchmark_reads_its_counts_so():
    careless = [file.name for file in BENCH.rglob("*.py") if "type=int" in file.read_text()]
    assert careless == []


def test_every_benchmark_names_only_what_is_there():
    """Most of them are run by hand, so that a name that is gone would not be noticed."""
    names = [info.name for info in walk_packages(bench.__path__, "bench.")]
    assert len(names) > 30
    for name in names:
        if not name.endswith("__main__"):
            import_module(name)


def test_the_help_of_a_benchmark_is_its_whole_docstring(capsys):
    with pytest.raises(SystemExit) as ended:
        performance.main(["--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert told.startswith("usage: python -m bench.performance [-h]")
    assert performance.__doc__.partition("\n")[2].strip() in told


def test_every_benchmark_has_such_a_help():
    cut = [f.name for f in BENCH.rglob("*.py") if "ArgumentParser(" in f.read_text()]
    assert cut == ["options.py"]
