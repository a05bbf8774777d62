"""The images are built from the Dockerfile and run, without an image registry.

Their base is made by debootstrap, and packages come from a folder of wheels, so the build itself
uses the network for Debian's packages alone. That takes many minutes and gigabytes, so the test
runs only where ``AMAD_BUILD_IMAGE`` names targets: ``cpu``, ``gpu`` or ``cpu,gpu``. PyPI's wheel of
PyTorch for Linux has CUDA, and is what the target gpu is built with. Nothing here has a GPU to run
it on.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TARGETS = os.environ.get("AMAD_BUILD_IMAGE", "").split(",")
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
assert torch.ones(2).sum() == 2 and bool(torch.version.cuda) == HAS_CUDA
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
]

Buildah = Callable[..., str]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """On a disk: the temporary folder of other tests may be memory."""
    path = Path(tempfile.mkdtemp(prefix="amad-image-", dir=os.environ.get("TMPDIR", "/var/tmp")))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def buildah(folder: Path) -> Iterator[Buildah]:
    """Run buildah on a store of its own; returns what it printed."""

    def run(driver: str, *arguments: object) -> subprocess.CompletedProcess:
        command = [
            "buildah",
            "--root",
            folder / driver / "store",
            "--runroot",
            folder / driver / "run",
        ]
        command += ["--storage-driver", driver, *arguments]
        return subprocess.run(list(map(str, command)), text=True, capture_output=True)

    # The driver vfs works everywhere, but copies the whole image for each of its layers.
    tried = run("overlay", "from", "scratch")
    mounted = tried.returncode == 0 and run("overlay", "mount", tried.stdout.strip())
    driver = "overlay" if mounted and mounted.returncode == 0 else "vfs"

    def checked(*arguments: object) -> str:
        done = run(driver, *arguments)
        assert done.returncode == 0, (arguments, (done.stdout + done.stderr)[-4000:])
        return done.stdout.strip()

    yield checked
    checked("rm", "--all")


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


def download(target: str, folder: Path) -> Path:
    """The locked packages of a target, as this machine's pip gets them."""
    lock = ROOT / "requirements.lock"
    (torch,) = re.findall(r"^torch==(\S+)$", lock.read_text(encoding="utf-8"), re.MULTILINE)
    # Three signs leave out the wheel without CUDA, whose version is 2.13.0+cpu.
    wanted = [f"torch==={torch}"] if target == "gpu" else []
    wanted += [f"{ROOT}[s3]", "setuptools>=77", "wheel"]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", folder / target]
    subprocess.run([*command, "--constraint", lock, *wanted], check=True, capture_output=True)
    return folder / target


@pytest.mark.parametrize(
    "target",
    [
        pytest.param(name, marks=pytest.mark.skipif(
            name not in TARGETS, reason=f"built only with AMAD_BUILD_IMAGE={name}"
        ))
        for name in ("cpu", "gpu")
    ],
)  # fmt: skip
def test_the_image_is_built_and_runs_as_nobody_in_particular(
    buildah: Buildah, base: str, folder: Path, target: str
) -> None:
    wheels = download(target, folder)
    buildah(
        "bud", "--isolation", "chroot", "--build-arg", f"BASE={base}",
        "--volume", f"{wheels}:/wheels:ro", "--target", target, "--tag", f"amad:{target}",
        "--file", ROOT / "infra" / "docker" / "Dockerfile", ROOT,
    )  # fmt: skip
    container = buildah("from", "--pull-never", f"amad:{target}")
    work = WORK.replace("HAS_CUDA", str(target == "gpu"))
    buildah("run", "--isolation", "chroot", container, "--", "sh", "-c", work)
