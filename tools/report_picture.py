"""python -m tools.report_picture

Makes docs/images/report.png: the upper part of data/demo/report.html, as Chromium shows it.
"""

import sys
import tempfile
from pathlib import Path

from PIL import Image

from tools.chromium import CHROMIUM, browser

SIZE = (1300, 1060)
COLOURS = 256
PAGE, PICTURE = Path("data/demo/report.html"), Path("docs/images/report.png")


def main() -> None:
    """Write the picture of the page, small enough for git."""
    if CHROMIUM is None:
        sys.exit("no Chromium is installed: apt-get install chromium")
    if not PAGE.is_file():
        sys.exit(f"{PAGE} is missing: run 'make repro'")
    with tempfile.TemporaryDirectory() as profile, browser(Path(profile)) as tab:
        tab.show(PAGE, SIZE)
        tab.picture(PICTURE)
    Image.open(PICTURE).convert("RGB").quantize(COLOURS).save(PICTURE, optimize=True)


if __name__ == "__main__":
    main()
