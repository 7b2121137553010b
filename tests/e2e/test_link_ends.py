"""What ends a link, and what does not: unlink, reset, another app key, another key for secrets."""

from __future__ import annotations

import json
import subprocess
import time
from typing import TYPE_CHECKING, Any

from cryptography.fernet import Fernet

from tests import sign_in_kit
from tests.emulator_kit import asked
from tests.revoked_kit import revoke_in_a_backlog
from tests.service_kit import ROOT, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.mosquitto_kit import Heard
    from tests.sign_in_kit import Scene

B = sign_in_kit.B
scene = sign_in_kit.scene


def _events(scene: Scene) -> list[str]:
    return [heard.json["event_type"] for heard in scene.wire.on(f"{B}/event")]


def test_unlink_gives_the_link_back_and_the_next_account_gets_what_waits(scene: Scene) -> None:
    scene.service.start()
    scene.link_is(state="unlinked")
    assert scene.command("unlink", "PRESS")["code"] == "not_linked"
    scene.link()
    wait_until(scene.dropbox.files, 25, "a frame is delivered")
    mark = len(scene.wire.heard)
    answer = scene.command("unlink", "PRESS")
    assert (answer["status"], answer["data"]["revoked"]) == ("ok", True)
    assert isinstance(answer["data"]["waiting"], int)
    assert scene.link_is(after=mark, state="unlinked")["account"] is None
    assert not any(grant.alive for grant in scene.dropbox.cloud.people.grants)
    assert "unlinked" in _events(scene)
    assert scene.command("unlink", "PRESS")["code"] == "not_linked"
    address = scene.command("link", "PRESS")["data"]["authorize_url"]
    assert scene.command("code", scene.dropbox.allow(asked(address), "bob"))["status"] == "ok"
    wait_until(lambda: scene.dropbox.files("bob"), 25, "frames go to the next account")
    receipts = "select path from frames where delivered_at is not null"
    wait_until(lambda: len(scene.service.rows(receipts)) >= 2, 25, "a receipt from each")
    for (path,) in scene.service.rows(receipts):
        owners = [name for name in ("ada", "bob") if path in scene.dropbox.files(name)]
        assert len(owners) == 1, "each frame went to one account"


def test_reset_forgets_link_sign_in_changes_and_ids_and_stays_stopped(scene: Scene) -> None:
    scene.service.start()
    scene.link_is(state="unlinked")
    scene.link()
    camera = {"source": scene.camera.source, "interval": "1h"}
    patch: dict[str, Any] = {"cameras": {"extra": camera}, "log": {"level": "warning"}}
    assert scene.command("config", json.dumps({"id": "c", "patch": patch}))["status"] == "ok"
    scene.wire.wait_for(f"{B}/cam/extra/state", timeout_s=10)
    scene.command("link", json.dumps({"id": "l"}))
    mark = len(scene.wire.heard)
    answer = scene.command("reset", json.dumps({"id": "r"}))
    assert answer["status"] == "ok"
    link = scene.link_is(after=mark, state="unlinked", open=False)
    assert link["account"] is None
    wait_until(lambda: not any(grant.alive for grant in scene.dropbox.cloud.people.grants), 15, "given back at Dropbox")
    scene.wire.wait(lambda h: h.topic == f"{B}/cam/extra/state" and not h.payload, 10, after=mark)
    done = scene.wire.wait(lambda h: h.topic == f"{B}/event" and h.json.get("id") == "l", 10, after=mark).json
    assert (done["event_type"], done["status"]) == ("done", "error")
    state = scene.wire.last(f"{B}/state")
    assert state is not None
    assert (state.json["capture"], state.json["log_level"]) == ("stopped", "info")
    assert scene.service.stop() == 0
    mark = len(scene.wire.heard)
    scene.service.start()
    scene.link_is(after=mark, state="unlinked")
    again = scene.wire.wait(lambda h: h.topic == f"{B}/state", 10, after=mark).json
    assert again["capture"] == "stopped"
    assert scene.command("link", json.dumps({"id": "l"}))["status"] == "accepted", "ids are forgotten"


def test_another_app_key_unlinks_and_says_why(scene: Scene) -> None:
    scene.service.start()
    scene.link_is(state="unlinked")
    scene.link()
    mark = len(scene.wire.heard)
    patch = {"patch": {"destination": {"app_key": "anotherkey", "app_secret": "canary-app-secret"}}}
    assert scene.command("config", json.dumps(patch))["status"] == "ok"
    order = [h.topic for h in scene.wire.heard[mark:]]
    assert order.index(f"{B}/link") < order.index(f"{B}/response/config"), "what changed is told before the answer"
    told = scene.link_is(after=mark, state="unlinked")
    assert "app key changed" in told["message"]
    config = scene.wire.last(f"{B}/config")
    assert config is not None
    assert config.json["config"]["destination"]["app_secret"] == {"set": True}
    assert "link_needed" in scene.problems()
    assert scene.command("capture", "PRESS")["status"] == "accepted"
    revoked = lambda: [each for each in scene.dropbox.requests if each.route == "auth/token/revoke"]  # noqa: E731
    wait_until(revoked, 30, "the old sign-in is taken back at Dropbox with the next delivery")
    answer = scene.command("link", "PRESS")
    assert "client_id=anotherkey" in answer["data"]["authorize_url"]
    assert scene.command("code", "x" * 43)["code"] == "app_invalid"
    assert not [h for h in scene.wire.heard if b"canary-app-secret" in h.payload and "/cmd/" not in h.topic]


def test_a_lost_key_is_told_and_a_new_sign_in_mends_it(scene: Scene) -> None:
    scene.service.start()
    scene.link_is(state="unlinked")
    scene.link()
    patch = {"patch": {"destination": {"app_secret": scene.dropbox.app.secret}}}
    assert scene.command("config", json.dumps(patch))["status"] == "ok"
    assert scene.service.stop() == 0
    key_file = scene.service.folder / "data" / "secret.key"
    right = key_file.read_text()
    key_file.write_text(Fernet.generate_key().decode())
    mark = len(scene.wire.heard)
    scene.service.start()
    told = scene.link_is(after=mark, state="unlinked")
    assert "cannot be read" in told["message"]
    wait_until(lambda: "secrets_unreadable" in scene.problems(), 10, "the problem is named")
    scene.wire.wait(lambda h: h.topic == f"{B}/cam/cam/event" and h.json["event_type"] == "captured", 20, after=mark)
    status = scene.service.command("status", "--json")
    assert status.returncode == 0, status.stderr
    assert scene.service.stop() == 0
    assert scene.service.output().count("Traceback") == 0
    key_file.write_text(right)
    mark = len(scene.wire.heard)
    scene.service.start()
    scene.link_is(after=mark, state="linked")
    wait_until(lambda: "secrets_unreadable" not in scene.problems(), 10, "all is well with the right key")
    assert scene.service.stop() == 0
    key_file.unlink()
    key_file.mkdir()
    mark = len(scene.wire.heard)
    scene.service.start()
    scene.link_is(after=mark, state="unlinked")
    refused = scene.command("link", "PRESS")
    assert (refused["status"], refused["code"]) == ("error", "internal")
    assert "secret.key" in refused["message"]
    key_file.rmdir()
    scene.link()
    assert scene.service.alive


def test_the_key_is_rotated_by_a_script_and_the_link_stays(scene: Scene) -> None:
    scene.service.start()
    scene.link_is(state="unlinked")
    scene.link()
    scene.command("link", "PRESS")
    patch = {"patch": {"destination": {"app_secret": scene.dropbox.app.secret}}}
    assert scene.command("config", json.dumps(patch))["status"] == "ok"

    def rotate() -> subprocess.CompletedProcess[str]:
        command = [str(ROOT / "scripts" / "rotate-key"), "--config", str(scene.service.config)]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=60, env=scene.service.environment
        )

    assert "runs on this data_dir" in rotate().stderr
    assert scene.service.stop() == 0
    key_file = scene.service.folder / "data" / "secret.key"
    old = key_file.read_text().strip()
    done = rotate()
    assert (done.returncode, done.stderr) == (0, "")
    assert "4 stored secrets" in done.stdout
    new = key_file.read_text().strip()
    assert new != old
    sealed = [row[0] for row in scene.service.rows("select value from memory where value like 'gAAAA%'")]
    assert len(sealed) == 4
    for text in sealed:
        Fernet(new).decrypt(text)
    mark = len(scene.wire.heard)
    scene.service.start()
    told = scene.link_is(after=mark, state="linked")
    assert told["open"], "the sign-in under way is still there"
    assert "secrets_unreadable" not in scene.problems()
    assert sum(r.route == "oauth2/token" for r in scene.dropbox.requests) == 1, "no refresh was needed"


def test_a_refresh_that_fails_is_told_and_heals_by_itself(scene: Scene) -> None:
    scene.service.start()
    scene.link_is(state="unlinked")
    scene.link()
    wait_until(scene.dropbox.files, 25, "a frame is delivered")
    mark = len(scene.wire.heard)
    broken = scene.dropbox.order("server_error", route="oauth2/token", times=None)
    scene.dropbox.expire_tokens()
    told = scene.link_is(after=mark, state="refresh_failing")
    assert (told["open"], told["account"]) == (False, "a***@example.com"), "nobody has to sign in"
    wait_until(lambda: "refresh_failing" in scene.problems(), 20, "the problem is named")
    delivered = len(scene.dropbox.files())

    def waits(heard: Heard) -> bool:
        return (
            heard.topic == f"{B}/state"
            and heard.json["queue"]["frames"] >= 2
            and (heard.json["link"], heard.json["upload"]["state"]) == ("refresh_failing", "backoff")
        )

    state = scene.wire.wait(waits, 40, after=mark).json
    assert state["message"] == "The Dropbox sign-in could not be refreshed; it is tried again."
    assert len(scene.dropbox.files()) == delivered, "frames wait"
    broken.times = broken.struck
    healed = len(scene.wire.heard)
    scene.link_is(after=healed, state="linked")
    wait_until(lambda: scene.problems() == [], 20, "the problem is gone")
    wait_until(lambda: len(scene.dropbox.files()) >= delivered + 2, 30, "what waited is delivered")
    assert [event for event in _events(scene) if event.startswith("link")] == ["linked"], "it was never lost"
    assert all(file.writes == 1 for file in scene.dropbox.files().values())


def test_a_network_that_is_gone_when_the_token_ends_is_no_trouble_of_the_link(scene: Scene) -> None:
    scene.dropbox.behaviour.token_life = 12.0
    scene.service.start()
    scene.link_is(state="unlinked")
    scene.link()
    ends = time.monotonic() + 12.0
    wait_until(scene.dropbox.files, 25, "a frame is delivered")
    mark = len(scene.wire.heard)
    scene.dropbox.pause()
    delivered = len(scene.dropbox.files())
    gone = lambda h: h.topic == f"{B}/state" and h.json["upload"]["state"] == "offline"  # noqa: E731
    scene.wire.wait(gone, 40, after=mark)
    wait_until(lambda: time.monotonic() > ends, 20, "the token is over, also by the node's own clock")
    tried = scene.command("retry", json.dumps({"id": "r"}))
    scene.wire.wait(lambda h: h.topic == f"{B}/event" and h.json.get("id") == "r", 40, after=mark)
    assert tried["status"] == "accepted"
    scene.dropbox.behaviour.token_life = 14400.0
    renewed = sum(grant.refreshes for grant in scene.dropbox.cloud.people.grants)
    scene.dropbox.resume()
    scene.command("retry", "PRESS")
    wait_until(lambda: len(scene.dropbox.files()) >= delivered + 2, 40, "what waited is delivered")
    assert sum(grant.refreshes for grant in scene.dropbox.cloud.people.grants) == renewed + 1
    assert {h.json["state"] for h in scene.wire.on(f"{B}/link")} == {"unlinked", "linking", "linked"}
    assert all("refresh_failing" not in h.json["problems"] for h in scene.wire.on(f"{B}/state"))


def test_a_link_revoked_in_a_backlog_costs_one_alert_no_storm_and_no_frame(tmp_path: Path) -> None:
    was = revoke_in_a_backlog(tmp_path, 500, 12)
    assert was.waited > 400, was
    assert "revoked" in was.problems
    assert was.good(1), was
