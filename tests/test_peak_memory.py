"""The tool that measures how much memory a command and its processes hold together."""

import re
import subprocess
import sys
from pathlib import Path

from tools.peak_memory import main

ROOT = Path(__file__).resolve().parent.parent
HOLD = "import time; held = b'x' * 200_000_000; time.sleep(2)"
CHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HOLD!r}])"


def test_memory_of_a_child_counts():
    command = [sys.executable, "-m", "tools.peak_memory", sys.executable, "-c", CHILD]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    told = re.fullmatch(r"peak memory: (\d\.\d\d) GB\n", result.stderr)
    assert told and 0.2 <= float(told[1]) < 0.4, result.stderr


def test_the_exit_code_is_that_of_the_command():
    assert main([sys.executable, "-c", "raise SystemExit(5)"]) == 5
