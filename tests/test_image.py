"""The image is built from the Dockerfile and run, without an image registry.

Its base is made by debootstrap, and packages come from a folder of wheels, so the build itself uses
the network for Debian's packages alone. That takes about ten minutes and 9 GB while it runs, so the
test runs only where ``AMAD_BUILD_IMAGE=1`` asks for it. GPUs: nothing here builds the target gpu.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ("buildah", "debootstrap")
MISSING = [tool for tool in TOOLS if shutil.which(tool) is None]
MIRROR = "http://deb.debian.org/debian"
INSIDE = "python3.11 python3.11-venv"  # what the Dockerfile expects of its base
# A fleet of the image's own settings, made small, through the stages before training; then Ray.
WORK = """
set -e
test "$(id -u)" = 10001
! touch /app/amad/x 2>/dev/null
amad --help > /dev/null
amad ingest && amad validate && amad prepare
python -c "
import ray, torch
assert ray.__version__ and torch.ones(2).sum() == 2
ray.init(num_cpus=1, include_dashboard=False, object_store_memory=100_000_000)
assert ray.get(ray.remote(lambda: 41 + 1).remote()) == 42
"
"""

pytestmark = [
    pytest.mark.engine,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(
        bool(MISSING), reason=f"no builder: {', '.join(MISSING)} of Debian is not installed"
    ),
    pytest.mark.skipif(
        "AMAD_BUILD_IMAGE" not in os.environ, reason="builds only with AMAD_BUILD_IMAGE=1"
    ),
]

Buildah = Callable[..., str]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """On a disk: the temporary folder of other tests may be memory."""
    path = Path(tempfile.mkdtemp(prefix="amad-image-", dir=os.environ.get("TMPDIR", "/var/tmp")))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def buildah(folder: Path) -> Buildah:
    """Run buildah on a store of its own; returns what it printed."""

    def run(*arguments: object) -> str:
        command = ["buildah", "--root", folder / "store", "--runroot", folder / "run"]
        command += ["--storage-driver", "vfs", *arguments]
        done = subprocess.run(list(map(str, command)), text=True, capture_output=True)
        assert done.returncode == 0, (arguments, (done.stdout + done.stderr)[-4000:])
        return done.stdout.strip()

    return run


@pytest.fixture(scope="module")
def base(buildah: Buildah) -> str:
    """A Debian with Python and nothing else; pip finds what lies in /wheels and asks nobody."""
    container = buildah("from", "scratch")
    root = Path(buildah("mount", container))
    subprocess.run(
        ["debootstrap", "--variant=minbase", "--include=ca-certificates", "bookworm", root, MIRROR],
        check=True, capture_output=True,
    )  # fmt: skip
    shutil.copy("/etc/resolv.conf", root / "etc")
    install = f"apt-get update && apt-get install -y --no-install-recommends {INSIDE}"
    clean = "apt-get clean && rm -rf /var/lib/apt/lists/*"
    subprocess.run(
        ["chroot", root, "sh", "-c", f"{install} && {clean}"], check=True, capture_output=True
    )
    (root / "etc" / "pip.conf").write_text("[global]\nno-index = true\nfind-links = /wheels\n")
    buildah("umount", container)
    buildah("commit", "--rm", container, "base")
    return "localhost/base"


@pytest.fixture(scope="module")
def wheels(folder: Path) -> Path:
    """The locked packages, as this machine's pip gets them."""
    wanted = [f"{ROOT}[s3]", "setuptools>=77", "wheel"]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", folder / "wheels"]
    command += ["--constraint", ROOT / "requirements.lock", *wanted]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "wheels"


def test_the_image_is_built_and_runs_as_nobody_in_particular(
    buildah: Buildah, base: str, wheels: Path
) -> None:
    buildah(
        "bud", "--isolation", "chroot", "--build-arg", f"BASE={base}",
        "--volume", f"{wheels}:/wheels:ro", "--target", "cpu", "--tag", "amad:cpu",
        "--file", ROOT / "infra" / "docker" / "Dockerfile", ROOT,
    )  # fmt: skip
    container = buildah("from", "--pull-never", "amad:cpu")
    buildah("run", "--isolation", "chroot", container, "--", "sh", "-c", WORK)
