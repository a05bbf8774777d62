"""The options of benchmarks: a count of none is refused, since nothing would be measured."""

import argparse
from pathlib import Path

import pytest

from bench import nights
from bench.options import positive

BENCH = Path(nights.__file__).parent


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
