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


def main(page: Path = PAGE, picture: Path = PICTURE) -> None:
    """Write the picture of a page, small enough for git."""
    if CHROMIUM is None:
        sys.exit("no Chromium is installed: apt-get install chromium")
    if not page.is_file():
        sys.exit(f"{page} is missing: run 'make repro'")
    with tempfile.TemporaryDirectory() as profile, browser(Path(profile)) as tab:
        tab.show(page, SIZE)
        tab.picture(picture)
    Image.open(picture).convert("RGB").quantize(COLOURS).save(picture, optimize=True)


if __name__ == "__main__":
    main()
