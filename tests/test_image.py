"""The image is built from the Dockerfile and run, without an image registry.

Its base is made by debootstrap, and packages come from a folder of wheels, so the build itself
uses the network for Debian's packages alone. That takes many minutes and gigabytes, so the test
runs only where ``AMAD_BUILD_IMAGE`` names a PyTorch: ``cpu``, ``gpu`` or ``cpu,gpu``. PyPI's wheel
for Linux has CUDA, and is what ``gpu`` is built with. Nothing here has a GPU to run it on.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
KINDS = os.environ.get("AMAD_BUILD_IMAGE", "").split(",")
LOCK, CUDA_LOCK = ROOT / "requirements.lock", ROOT / "infra" / "docker" / "cuda.lock"
LIMIT_GB = {"cpu": 2.7, "gpu": 6.8}  # unpacked
TOOLS = ("buildah", "debootstrap")
MISSING = [tool for tool in TOOLS if shutil.which(tool) is None]
MIRROR = "http://deb.debian.org/debian"
INSIDE = "python3.11 python3.11-venv"  # what the Dockerfile expects of its base
# Where the user may write; a pod whose root is read-only mounts volumes there.
PLACES = "/app/data /app/runs /dev /home/amad /proc /run/lock /shared /tmp /var/tmp"
# A fleet of the image's own settings, made small, through the stages before training; then Ray.
WORK = """
set -ex
test "$(id -u):$(id -g)" = 10001:10001
hide=$(for place in PLACES; do printf ' -path %s -prune -o' "$place"; done)
test -z "$(find / $hide ! -type l -writable -print 2>/dev/null)"
for tool in gcc cc c++ make; do test -z "$(command -v $tool)"; done
pip check
amad --help > /dev/null
amad ingest && amad validate && amad prepare
python -c "
import ray, torch
assert torch.ones(2).sum() == 2 and bool(torch.version.cuda) == HAS_CUDA
assert not torch.cuda.is_available(), 'this machine has a GPU: let it compute something'
ray.init(num_cpus=1, include_dashboard=False, object_store_memory=100_000_000)
assert ray.get(ray.remote(lambda: 41 + 1).remote()) == 42
"
count() { find amad pipelines -name "$1" | wc -l; }
test "$(count '*.py')" = "$(count '*.pyc')"
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
        own = os.environ | {"TMPDIR": str(folder)}  # the cache of pip lies there, too
        return subprocess.run(list(map(str, command)), text=True, capture_output=True, env=own)

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


def download(kind: str, folder: Path) -> Path:
    """The locked packages with a PyTorch of this kind, as this machine's pip gets them."""
    (torch,) = re.findall(r"^torch==(\S+)$", LOCK.read_text(encoding="utf-8"), re.MULTILINE)
    # Three signs leave out the wheel without CUDA, whose version is 2.13.0+cpu.
    wanted = [f"torch==={torch}"] if kind == "gpu" else []
    wanted += [f"{ROOT}[s3]", "setuptools>=77", "wheel"]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", folder / kind]
    subprocess.run(
        [*command, "-c", LOCK, "-c", CUDA_LOCK, *wanted], check=True, capture_output=True
    )
    return folder / kind


def gigabytes(path: Path) -> float:
    """Of all files below a folder, unpacked."""
    done = subprocess.run(["du", "-sxB1", path], check=True, capture_output=True, text=True)
    return int(done.stdout.split()[0]) / 1e9


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(name, marks=pytest.mark.skipif(
            name not in KINDS, reason=f"built only with AMAD_BUILD_IMAGE={name}"
        ))
        for name in ("cpu", "gpu")
    ],
)  # fmt: skip
def test_the_image_is_built_and_runs_as_nobody_in_particular(
    buildah: Buildah, base: str, folder: Path, kind: str
) -> None:
    wheels = download(kind, folder)
    buildah(
        "bud", "--isolation", "chroot", "--build-arg", f"BASE={base}",
        "--volume", f"{wheels}:/wheels:ro", "--tag", f"amad:{kind}",
        "--file", ROOT / "infra" / "docker" / "Dockerfile", ROOT,
    )  # fmt: skip
    container = buildah("from", "--pull-never", f"amad:{kind}")
    work = WORK.replace("HAS_CUDA", str(kind == "gpu")).replace("PLACES", PLACES)
    buildah("run", "--isolation", "chroot", container, "--", "sh", "-c", work)
    pip = ("pip", "freeze", "--all", "--exclude-editable")
    listed = buildah("run", "--isolation", "chroot", container, "--", *pip)
    locked = " ".join(file.read_text(encoding="utf-8") for file in (LOCK, CUDA_LOCK))
    locked = locked.lower().replace("_", "-").split()
    others = listed.lower().replace("+cpu", "").replace("_", "-").split()
    others = [one for one in others if "==" in one and one not in locked]
    assert {one.partition("==")[0] for one in others} == {"pip", "setuptools"}  # of Debian's venv
    config = json.loads(buildah("inspect", f"amad:{kind}"))["OCIv1"]["config"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert config["User"] == "10001:10001"
    assert config["Labels"]["org.opencontainers.image.version"] == project["version"]
    root = Path(buildah("mount", container))
    left = [*root.glob("root/.cache/**/*.*"), *root.glob("var/lib/apt/lists/*_*")]
    assert not [*left, *root.glob("opt/amad/**/*.a"), *root.glob("opt/amad/**/tests/")]
    packages = root / "opt/amad/lib/python3.11/site-packages"
    names = {"all": [root], "PyTorch": [packages / "torch"], "CUDA": packages.glob("nvidia*")}
    size = {name: sum(map(gigabytes, paths)) for name, paths in names.items()}
    buildah("umount", container)
    print(f"amad:{kind}, gigabytes unpacked: {size}")
    assert size["all"] < LIMIT_GB[kind]
