"""Signing in to Dropbox with the whole service: by the page, over a crash, from the terminal; and what ends it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import time
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING

from tests import sign_in_kit
from tests.emulator_kit import asked
from tests.service_kit import read_until, wait_until

if TYPE_CHECKING:
    from tests.sign_in_kit import Scene

B = sign_in_kit.B
scene = sign_in_kit.scene


def _onward(page: str) -> str:
    found = re.search(r'id="continue" href="([^"]+)"', page)
    assert found, page
    return unescape(found[1])


def test_a_sign_in_by_redirect_outlives_kill_9_in_its_middle(scene: Scene) -> None:
    scene.service.start()
    first = scene.link_is(state="unlinked")
    assert (first["open"], first["url"], first["authorize_url"], first["expires_at"]) == (False, None, None, None)
    assert 'data-result="home"' in scene.get(f"http://localhost:{scene.port}/")
    assert "cmd/link over MQTT" in scene.service.output(), "a first start only says what is needed"
    answer = scene.command("link", json.dumps({"id": "l1"}))
    assert answer["status"] == "accepted"
    opened = scene.link_is(open=True)
    assert opened["state"] == "linking"
    assert {key: opened[key] for key in ("url", "authorize_url", "expires_at")} == answer["data"]
    assert opened["url"].startswith(f"http://localhost:{scene.port}/link/")
    order = [h.topic for h in scene.wire.heard if h.topic in (f"{B}/link", f"{B}/response/link")]
    assert order[-1] == f"{B}/response/link", "the state is told before the answer"
    onward = _onward(scene.get(opened["url"]))
    scene.service.kill()
    mark = len(scene.wire.heard)
    scene.service.start()
    again = scene.link_is(after=mark, open=True)
    assert again["url"] == opened["url"]
    ours = asked(onward)
    code = scene.dropbox.allow(ours)
    came_back = f"http://localhost:{scene.port}/oauth/callback?code={code}&state={ours['state']}"
    assert 'data-result="linked"' in scene.get(came_back)
    linked = scene.link_is(after=mark, state="linked", open=False)
    assert (linked["url"], linked["authorize_url"], linked["account"]) == (None, None, "a***@example.com")
    done = scene.wire.wait(lambda h: h.topic == f"{B}/event" and h.json["event_type"] == "done", 10, after=mark).json
    assert (done["id"], done["verb"], done["status"]) == ("l1", "link", "ok")
    assert scene.command("link", json.dumps({"id": "l1"}))["data"] == answer["data"], "a repeat is no second sign-in"
    wait_until(lambda: len(scene.dropbox.files()) >= 2, 25, "what waited is delivered")
    wait_until(lambda: not _answers(scene), 10, "the port closes")
    assert scene.service.stop() == 0
    log = scene.service.output()
    for secret in (code, ours["state"], opened["url"].rpartition("/")[2]):
        assert secret not in log


def _answers(scene: Scene) -> bool:
    try:
        scene.get(f"http://localhost:{scene.port}/")
    except OSError:
        return False
    return True


def test_a_page_for_this_machine_only_is_not_told_to_mqtt_but_to_the_terminal(scene: Scene) -> None:
    scene.service.settings["web"]["host"] = "127.0.0.1"
    scene.service.start()
    scene.link_is(state="unlinked")
    wait_until(lambda: "sign in with `edge-service link`" in scene.service.output(), 10, "the log says how")
    answer = scene.command("link", "PRESS")
    assert answer["data"]["url"] is None
    assert scene.link_is(open=True)["url"] is None
    terminal = scene.service.popen("link")
    said = read_until(terminal, f"localhost:{scene.port}/link/")
    page = re.search(r"http://localhost:\d+/link/\S+", said)
    assert page is not None
    assert answer["data"]["authorize_url"] in said, "it is the same sign-in"
    ours = asked(_onward(scene.get(page[0])))
    came_back = f"http://localhost:{scene.port}/oauth/callback?code={scene.dropbox.allow(ours)}&state={ours['state']}"
    assert 'data-result="linked"' in scene.get(came_back)
    out, _ = terminal.communicate(timeout=30)
    assert terminal.returncode == 0, out
    assert "Linked to a***@example.com" in out


def test_the_terminal_opens_the_page_itself_where_no_service_runs(scene: Scene) -> None:
    scene.service.write()
    terminal = scene.service.popen("link")
    page = read_until(terminal, "/link/").split()[-1]
    ours = asked(_onward(scene.get(page)))
    came_back = f"http://localhost:{scene.port}/oauth/callback?code={scene.dropbox.allow(ours)}&state={ours['state']}"
    assert 'data-result="linked"' in scene.get(came_back)
    out, _ = terminal.communicate(timeout=30)
    assert terminal.returncode == 0, out
    scene.service.start()
    scene.link_is(state="linked")
    wait_until(scene.dropbox.files, 25, "the service starts linked")


def _resident(process: Path) -> int:
    """Bytes."""
    return int((process / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_crowd_of_500_at_the_page_hurts_nothing_and_is_sent_away(scene: Scene) -> None:
    """Half-open connections and endless addresses, while a linked node has a sign-in open."""
    scene.service.start()
    scene.link_is(state="unlinked")
    scene.link()
    page = scene.command("link", "PRESS")["data"]["url"]
    assert 'id="continue"' in scene.get(page)
    process = Path(f"/proc/{scene.service.pid}")
    before, mark = _resident(process), len(scene.wire.heard)
    crowd = []
    with contextlib.ExitStack() as stack:
        for number in range(500):
            one = stack.enter_context(socket.create_connection(("127.0.0.1", scene.port), 20))
            one.settimeout(30)
            with contextlib.suppress(OSError):
                one.sendall(
                    (b"", b"GET / HT", b"GET /" + b"x" * 20_000, b"POST /link/x HTTP/1.1\r\nHost: x\r\n")[number % 4]
                )
            crowd.append(one)
        assert 'id="continue"' in scene.get(page), "who has something to ask is heard"
        asked_at = time.monotonic()
        assert scene.command("announce", "PRESS")["status"] == "ok"
        assert time.monotonic() - asked_at < 5
        assert len(list((process / "fd").iterdir())) < 200
        for one in crowd:
            with contextlib.suppress(OSError):
                while one.recv(4096):
                    pass
    assert time.monotonic() - asked_at < 30, "each was sent away by its deadline"
    for what, topic in (("captured", f"{B}/cam/cam/event"), ("delivered", f"{B}/cam/cam/event")):
        scene.wire.wait(lambda h, w=what, t=topic: h.topic == t and h.json["event_type"] == w, 20, after=mark)  # type: ignore[misc]
    assert not [h for h in scene.wire.heard if h.topic == f"{B}/cam/cam/event" and h.json["event_type"] == "failed"]
    assert _resident(process) - before < 15_000_000
    assert scene.service.stop() == 0
