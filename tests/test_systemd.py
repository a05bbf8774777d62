"""The units of systemd under a systemd of its own: in namespaces, with the files as they are here.

In these namespaces /srv/amad, /etc/systemd/system and the user amad are what an operator would
have made; nothing of this machine's own systemd, if it runs one, is touched.
"""

import contextlib
import os
import shlex
import shutil
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SYSTEMD = Path("/lib/systemd/systemd")
# All that runs beside the units of the project: no udev, no clean-up of temporary files.
NEEDED = (
    "basic.target", "network-online.target", "shutdown.target", "sysinit.target",
    "systemd-journald.service", "systemd-journald.socket", "timers.target", "umount.target",
    "time-set.target", "time-sync.target",
)  # fmt: skip
BOOT = """
set -e
mount --make-rprivate /
for place in /run /tmp /srv /var/lib/systemd /var/log /usr/local/sbin; do
  mount -t tmpfs tmpfs $place
done
mkdir -p /run/lock /run/units /run/etc /run/work
mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/etc,workdir=/run/work /etc
for unit in $NEEDED; do
  if [ -e "/lib/systemd/system/$unit" ]; then cp -a "/lib/systemd/system/$unit" /run/units/; fi
done
mount --bind /run/units /lib/systemd/system
needed='basic.target systemd-journald.service'
printf '[Unit]\\nRequires=%s\\nAfter=%s\\n' "$needed" "$needed" > /lib/systemd/system/test.target
mount -t tmpfs tmpfs /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p /srv/amad/infra/schedule /srv/amad/.venv/bin /srv/telemetry /srv/told
cp "$SCHEDULE"/*.sh /srv/amad/infra/schedule/
cp "$SCHEDULE"/amad-* /etc/systemd/system/
echo amad:x:64999:64999::/srv/amad:/bin/sh >> /etc/passwd
echo amad:x:64999: >> /etc/group
chown -R amad /srv/amad /srv/told
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin $SYSTEMD --system --unit=test.target
"""
AMAD = """#!/bin/sh
echo "$@" >> /srv/told/amad
[ "$1" != score ] || exit "$(cat /srv/told/code)"
"""
MAIL = """#!/bin/sh
{ echo "to: $*"; cat; } > /srv/told/mail.part && mv /srv/told/mail.part /srv/told/mail
"""


class Machine:
    """A systemd that runs, and its shell."""

    def __init__(self, process: int) -> None:
        self._enter = ["nsenter", "--target", str(process), "--mount", "--pid", "--cgroup", "--uts"]

    def shell(self, command: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command as root inside."""
        return subprocess.run(
            [*self._enter, "/bin/sh", "-c", command], input=given, capture_output=True, text=True,
            timeout=60, env={"PATH": "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"},
        )  # fmt: skip

    def write(self, path: str, text: str, mode: str = "644") -> None:
        """Make a file inside."""
        where = shlex.quote(path)
        done = self.shell(
            f"mkdir -p $(dirname {where}) && cat > {where} && chmod {mode} {where}", text
        )
        assert done.returncode == 0, done.stderr

    def read(self, path: str) -> str:
        """A file inside; empty where there is none."""
        return self.shell(f"cat {shlex.quote(path)}").stdout

    def wait_for(self, command: str) -> None:
        """Wait until a command ends with 0."""
        ends = time.monotonic() + 300
        while (done := self.shell(command)).returncode:
            journal = self.shell("journalctl --no-pager -n 60").stdout
            assert time.monotonic() < ends, f"{command}: {done.stdout}{done.stderr}\n{journal}"
            time.sleep(0.1)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory):
    """A machine on which the schedule of systemd is installed, with a stand-in for ``amad``."""
    if os.geteuid() or not SYSTEMD.exists() or not shutil.which("nsenter"):
        pytest.skip("needs root and an installed systemd")
    log = tmp_path_factory.mktemp("systemd") / "boot.log"
    with log.open("w") as output:
        booted = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--cgroup", "--uts", "--ipc",
             "--mount-proc", "/bin/sh", "-c", BOOT],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            env=os.environ | {"NEEDED": " ".join(NEEDED), "SYSTEMD": str(SYSTEMD),
                              "SCHEDULE": str(ROOT / "infra" / "schedule")},
        )  # fmt: skip
    children = Path(f"/proc/{booted.pid}/task/{booted.pid}/children")
    try:
        ends = time.monotonic() + 300
        state = ""
        while state not in ("running", "degraded"):
            if booted.poll() is not None:
                pytest.skip(f"no systemd can be started here: {log.read_text()[-500:]}")
            assert time.monotonic() < ends, f"systemd is {state!r}: {log.read_text()[-2000:]}"
            time.sleep(0.1)
            with contextlib.suppress(OSError, IndexError):
                inside = Machine(int(children.read_text().split()[0]))
                state = inside.shell("systemctl is-system-running").stdout.strip()
        inside.write("/srv/amad/.venv/bin/amad", AMAD, "755")
        inside.write("/usr/local/sbin/mail", MAIL, "755")
        yield inside
    finally:
        booted.kill()
        booted.wait()


EVERY = ["ingest", "validate", "score", "report", "status"]


def a_night(machine: Machine, code: int) -> None:
    """What the next night's ``amad score`` ends with; nothing is told yet."""
    machine.shell("rm -f /srv/told/*; systemctl reset-failed")
    machine.write("/srv/told/code", f"{code}\n")


def test_a_good_night_tells_nobody_and_runs_as_its_user(machine: Machine):
    a_night(machine, 0)
    done = machine.shell("systemctl start amad-score@demo.service")
    assert done.returncode == 0, done.stderr
    assert machine.read("/srv/told/amad").splitlines() == [f"{name} --fleet demo" for name in EVERY]
    assert machine.shell("stat -c %U /srv/told/amad").stdout == "amad\n"
    assert machine.shell("test -e /srv/told/mail").returncode == 1
    failed = machine.shell("systemctl show -P ActiveState amad-failed@demo.service").stdout
    assert failed == "inactive\n"


def test_a_bad_night_starts_what_tells_somebody_with_the_journal(machine: Machine):
    a_night(machine, 8)
    assert machine.shell("systemctl start amad-score@demo.service").returncode
    machine.wait_for("test -e /srv/told/mail")
    mail = machine.read("/srv/told/mail")
    assert mail.startswith("to: -s amad: the night of fleet demo ended badly root\n")
    assert "status=8" in mail and "amad score --fleet demo ends with code 8" in mail
    assert machine.shell("systemctl show -P ExecMainStatus amad-score@demo").stdout == "8\n"


def test_secrets_that_root_alone_can_read_reach_the_night(machine: Machine):
    a_night(machine, 0)
    machine.write("/etc/amad/secrets.env", "AMAD_NOTIFY_WEBHOOK_KEY=a b$c\n", "600")
    told = AMAD + 'echo "$AMAD_NOTIFY_WEBHOOK_KEY" > /srv/told/key\n'
    machine.write("/srv/amad/.venv/bin/amad", told, "755")
    assert machine.shell("systemctl start amad-score@demo.service").returncode == 0
    assert machine.read("/srv/told/key") == "a b$c\n"


def test_a_night_with_the_machine_off_is_made_up(machine: Machine):
    a_night(machine, 0)
    stamps = "/var/lib/systemd/timers"
    machine.write(f"{stamps}/stamp-amad-score@demo.timer", "")
    machine.shell(f"touch -d '3 days ago' {stamps}/stamp-amad-score@demo.timer")
    machine.write(
        "/etc/systemd/system/amad-score@demo.timer.d/now.conf",
        "[Timer]\nRandomizedDelaySec=0\nAccuracySec=1s\n",
    )
    done = machine.shell("systemctl daemon-reload && systemctl enable --now amad-score@demo.timer")
    assert done.returncode == 0, done.stderr
    machine.wait_for("grep -q status /srv/told/amad")
    assert machine.read("/srv/told/amad").splitlines() == [f"{name} --fleet demo" for name in EVERY]
    listed = machine.shell("systemctl list-timers --all --no-pager").stdout
    assert "amad-score@demo.service" in listed
