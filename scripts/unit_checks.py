"""What `scripts/unit` lets run in its Debian, as root: follow docs/install.md, then try the unit.

Standard library only. Writes one line for each check to the report. After half of the checks it boots anew;
the rest is checked after that.
"""

from __future__ import annotations

import json
import re
import sqlite3
import sys
import time
import urllib.request
from pathlib import Path

from unit_guest import (
    CLI,
    DATA,
    SLOW,
    TRIAL,
    UNIT,
    B,
    Listening,
    active,
    goes_on,
    journal,
    main_pid,
    retained,
    say,
    shell,
    status,
    unit,
    until,
)

PHASE = TRIAL / "rebooted"
CONFIG = Path("/etc/edge-service/config.yaml")
PICTURES = Path("/srv/timelapse")
FATES = ("kept", "rejected", "failed", "skipped", "outside", "stopped", "down", "clock")

SETTINGS = """\
node: garden
timezone: Europe/London
mqtt: {url: "mqtt://localhost:1883", username: edge_service, password: !secret mqtt_password}
destination: {app_key: abc}
cameras:
  porch: {source: "http://127.0.0.1:8099/snapshot.jpg", interval: 5s}
"""
TO_A_FOLDER = SETTINGS.replace("{app_key: abc}", "{type: folder, path: /srv/timelapse}")

CAMERA = """\
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from edge_service.adapters.clock import SystemClock
from edge_service.adapters.test_pattern import PatternCamera
camera = PatternCamera("porch", SystemClock().now, 5)
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "image/jpeg")
        self.end_headers()
        self.wfile.write(camera.picture())
ThreadingHTTPServer(("127.0.0.1", 8099), Handler).serve_forever()
"""


def blocks() -> list[str]:
    """The shell commands of the section about systemd."""
    section = (TRIAL / "install.md").read_text().split("\n## systemd\n")[1].split("\n## ")[0]
    return re.findall(r"```sh\n(.*?)```", section, re.DOTALL)


def prepare() -> str:
    """The broker from Debian with the shipped settings and list; the camera; settings as in the README."""
    # A container takes over the modes of the devices around it.
    assert Path("/dev/null").stat().st_mode & 0o666 == 0o666, "not everybody may use /dev/null: mend that outside"
    conf = (TRIAL / "mosquitto.conf").read_text().replace("/secrets/passwords", "/etc/mosquitto/passwords")
    conf = conf.replace("/secrets/acl", "/etc/mosquitto/acl")
    # Debian's own file says this already.
    conf = re.sub(r"^persistence_location .*\n", "", conf, flags=re.MULTILINE)
    Path("/etc/mosquitto/conf.d/edge_service.conf").write_text(conf)
    shell(
        "install -m 0644 acl /etc/mosquitto/acl; touch /etc/mosquitto/passwords\n"
        "for user in edge_service home_assistant; do\n"
        "  mosquitto_passwd -b /etc/mosquitto/passwords $user of-${user/_/-}\ndone\n"
        "chown mosquitto: /etc/mosquitto/passwords; chmod 600 /etc/mosquitto/passwords; systemctl restart mosquitto"
    )
    (TRIAL / "config.yaml").write_text(SETTINGS)
    (TRIAL / "secrets.yaml").write_text("mqtt_password: of-edge-service\n")
    until("the broker", lambda: shell("systemctl is-active mosquitto", may_fail=True) == "active", 20)
    return shell("systemctl --version | head -1; uname -rm").replace("\n", ", kernel ")


def follow() -> str:
    """The first block, word by word."""
    began = time.monotonic()
    shell(blocks()[0].replace("ADDRESS-OF-THIS-REPOSITORY", "/srv/edge_service.git"))
    assert active(), shell(f"systemctl status {UNIT}", may_fail=True) + journal()
    took = (int(unit("ActiveEnterTimestampMonotonic")) - int(unit("ExecMainStartTimestampMonotonic"))) / 1e6
    (TRIAL / "camera.py").write_text(CAMERA)
    service = "[Service]\nWorkingDirectory=/opt/edge-service\nExecStart=/opt/edge-service/.venv/bin/python /root/trial/camera.py\n"
    Path("/etc/systemd/system/camera.service").write_text(f"{service}[Install]\nWantedBy=multi-user.target\n")
    shell("systemctl daemon-reload; systemctl enable -q --now camera")
    return f"{time.monotonic() - began:.0f} s; READY {took:.1f} s after its start"


def online() -> str:
    """At the broker."""
    return until("online", lambda: retained(f"{B}/status") == "online", 20) and "retained `online`"


def page() -> str:
    """Without a link the sign-in page is open."""

    def opened() -> int:
        try:
            with urllib.request.urlopen("http://localhost:8080/", timeout=10) as answer:
                return int(answer.status)
        except OSError:
            return 0

    until("the page", lambda: opened() == 200, 20)
    return "http://localhost:8080/ answers 200"


def rights() -> str:
    """The kernel's word about the process."""
    text = Path(f"/proc/{main_pid()}/status").read_text()
    found = dict(re.findall(r"^(\w+):\s+(.*)$", text, re.MULTILINE))
    assert found["CapEff"] == found["CapBnd"] == "0" * 16, found
    assert (found["NoNewPrivs"], found["Seccomp"]) == ("1", "2"), found
    assert "0" not in found["Uid"].split(), found
    exposure = shell(f"systemd-analyze security --no-pager {UNIT} | tail -1")
    return f"no capability, no new privileges, system calls filtered; {re.search(r'[0-9.]+ [A-Z]+', exposure)[0]}"


def writable() -> str:
    """Where even root could write from within its mounts."""
    inside = f"nsenter --mount --target {main_pid()} -- "
    rest = [
        "/",
        "/etc",
        "/etc/edge-service",
        "/opt/edge-service",
        "/usr",
        "/var",
        "/var/lib",
        "/var/log",
        "/srv",
        "/boot",
    ]
    for folder in rest:
        said = shell(f"{inside} touch {folder}/trial 2>&1", may_fail=True)
        assert "Read-only file system" in said, f"{folder}: {said or 'was written'}"
    shell(f"{inside} sh -c 'touch {DATA}/trial && rm {DATA}/trial'")
    assert (
        not shell(f"{inside} sh -c 'ls -A /home /root/trial' 2>/dev/null", may_fail=True).replace("/home:", "").strip()
    )
    modes = shell(f"stat -c '%a %U' {DATA} {DATA}/edge_service.db").split("\n")
    assert modes == ["700 edge-service", "600 edge-service"], modes
    return f"{DATA} only (0700), {len(rest)} other folders refused"


def watchdog() -> str:
    """A process that hangs is killed, told offline, and begun anew."""
    before, restarts = main_pid(), int(unit("NRestarts"))
    with Listening() as broker:
        began = time.monotonic()
        shell(f"kill -STOP {before}")
        until("a restart", lambda: int(unit("NRestarts")) > restarts, 300)
        killed = time.monotonic() - began
        until("active", lambda: active() and main_pid() not in (0, before), 60)
        broker.until("online", 30)
        assert broker.heard() == ["online", "offline", "online"], broker.heard()
    assert "Watchdog timeout" in journal()
    return f"SIGSTOP: killed and begun anew after {killed:.0f} s (WatchdogSec {unit('WatchdogUSec')}), `offline` told; {goes_on()}"


def killed() -> str:
    """A death without a word: kill -9."""
    before, began = main_pid(), time.monotonic()
    with Listening() as broker:
        shell(f"kill -KILL {before}")
        broker.until("offline", 20)
        until("active", lambda: active() and main_pid() not in (0, before), 60)
        broker.until("online", 30)
    return f"`online` again after {time.monotonic() - began:.1f} s; {goes_on()}"


def reload() -> str:
    """A good, a bad and a mended file."""
    pid = main_pid()

    def given(text: str) -> None:
        CONFIG.write_text(text)
        shell(f"systemctl reload {UNIT}")

    def interval() -> object:
        return (
            json.loads(retained(f"{B}/config") or "{}")
            .get("config", {})
            .get("cameras", {})
            .get("porch", {})
            .get("interval")
        )

    def problems() -> list[str]:
        return list(json.loads(retained(f"{B}/state") or "{}").get("problems", []))

    before = interval()
    given(SETTINGS.replace("5s", "10s"))
    changed = until("the interval", lambda: interval() not in (None, before) and interval(), 20)
    given(SETTINGS.replace("5s", "soon"))
    until("config_invalid", lambda: "config_invalid" in problems(), 20)
    given(SETTINGS)
    until("the mended file", lambda: interval() == before and "config_invalid" not in problems(), 20)
    assert main_pid() == pid
    return f"interval {before} -> {changed}, `config_invalid`, mended; the same process"


def wrong_file() -> str:
    """Exit 2 is left to a person."""
    CONFIG.write_text(SETTINGS.replace("5s", "soon"))
    shell(f"systemctl restart {UNIT}", may_fail=True)
    until("failed", lambda: unit("ActiveState") == "failed", 30)
    time.sleep(8)
    assert (unit("ActiveState"), unit("ExecMainStatus")) == ("failed", "2")
    assert any("cameras.porch.interval" in line for line in journal().splitlines()[-8:])
    CONFIG.write_text(SETTINGS)
    shell(f"systemctl start {UNIT}")
    assert active()
    return "exit 2 and no restart; the fault stands in the journal; started again with the mended file"


def migration() -> str:
    """A database of version 1, brought to this version by a child process within the unit's rights."""
    shell(f"systemctl stop {UNIT}; mv {DATA} {DATA}.aside; install -d -m 0700 -o edge-service -g edge-service {DATA}")
    file = DATA / "edge_service.db"
    with sqlite3.connect(file) as database:
        database.execute("PRAGMA page_size=1024")
        database.execute("PRAGMA auto_vacuum=INCREMENTAL")
        database.execute("PRAGMA journal_mode=WAL")
        database.executescript((TRIAL / "schema_0001.sql").read_text())
        database.execute("INSERT INTO memory VALUES ('old', 'kept')")
    database.close()
    shell(f"chown edge-service: {file}*; chmod 600 {file}*; systemctl start {UNIT}")
    assert active()
    assert (DATA / "edge_service.db.before-1").is_file(), shell(f"ls {DATA}")
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as database:
        version = database.execute("PRAGMA user_version").fetchone()[0]
        row = database.execute("SELECT value FROM memory WHERE key = 'old'").fetchone()
    database.close()
    assert version > 1
    assert row == ("kept",)
    taken = goes_on()
    shell(f"systemctl stop {UNIT}; rm -r {DATA}; mv {DATA}.aside {DATA}; systemctl start {UNIT}")
    return f"version 1 -> {version} with a copy before; {taken}"


def folder() -> str:
    """The last block of the section, with the folder as destination: all that waited gets there."""
    CONFIG.write_text(TO_A_FOLDER)
    shell(blocks()[2])
    total = int(status()["state"]["queue"]["frames"])
    until("pictures", lambda: len(list(PICTURES.rglob("*.jpg"))) > total, 60)
    assert not list(PICTURES.rglob("*.part"))
    return f"{total} that waited and new ones are in {PICTURES}"


def stopped() -> str:
    """A stop in time, with a word to the broker."""
    with Listening() as broker:
        began = time.monotonic()
        shell(f"systemctl stop {UNIT}")
        took = time.monotonic() - began
        broker.until("offline", 5)
    assert (unit("ActiveState"), unit("Result"), unit("ExecMainStatus")) == ("inactive", "success", "0")
    assert took < 8 * SLOW, f"{took:.1f} s"
    shell(f"systemctl start {UNIT}")
    return f"exit 0 after {took:.1f} s, `offline`"


def back() -> str:
    """After a boot nobody helped it."""
    until("active", active, 60)
    online()
    began = int(shell("systemctl show -P UserspaceTimestampMonotonic"))
    ready = (int(unit("ActiveEnterTimestampMonotonic")) - began) / 1e6
    return f"READY {ready:.0f} s after systemd began, `online`; {goes_on()}"


def accounted() -> str:
    """Every planned frame has its fate, every kept one its file: before and after kills, hangs and the boot."""
    until("an empty queue", lambda: status()["state"]["queue"]["frames"] == 0, 60)
    shell(f"systemctl stop {UNIT}")
    sums = json.loads(shell(f"{CLI} ledger --json"))["cameras"]["porch"]["sums"]
    fates = {fate: sums[fate] for fate in FATES if sums[fate]}
    assert sums["planned"] == sum(fates.values()), sums
    files = len(list(PICTURES.rglob("*.jpg")))
    assert files == sums["delivered"] == sums["kept"] + sums["extra"], f"{files} files, {sums}"
    told = " + ".join(f"{fate} {count}" for fate, count in fates.items())
    return f"planned {sums['planned']} = {told}; {files} files"


def quiet() -> str:
    """Nothing that the unit forbids was missed."""
    text = journal()
    bad = [
        line
        for line in text.splitlines()
        if re.search(r"Traceback|not permitted|ermission denied|Read-only file", line)
    ]
    assert not bad, bad
    return f"{len(text.splitlines())} lines in the journal, no refused call, no traceback"


BEFORE = {
    "a machine of its own": prepare,
    "docs/install.md, word by word": follow,
    "MQTT, with the shipped access list": online,
    "sign-in page": page,
    "frames from an HTTP camera": goes_on,
    "rights": rights,
    "what it may write": writable,
    "systemctl reload": reload,
    "a wrong file": wrong_file,
    "kill -9": killed,
    "watchdog": watchdog,
    "migration": migration,
    "folder as destination": folder,
    "systemctl stop": stopped,
}
AFTER = {"reboot": back, "account": accounted, "journal": quiet}


def main() -> None:
    """Half of the checks, a boot, the other half, the end."""
    checks = AFTER if PHASE.exists() else BEFORE
    for name, check in checks.items():
        try:
            say(f"holds  {name:<34} {check()}")
        except Exception as error:  # noqa: BLE001  whatever it was is told, and the others are still tried
            say(f"FAULT  {name:<34} {type(error).__name__}: {error}")
    if not PHASE.exists():
        PHASE.touch()
        shell("sync; systemctl reboot")
        return
    say("all checks done")
    shell("sync; systemctl poweroff")


if __name__ == "__main__":
    sys.exit(main())
