"""Each way in which a sign-in over MQTT can go wrong has its code, asked of a running service."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests import sign_in_kit
from tests.emulator_kit import asked

if TYPE_CHECKING:
    from tests.sign_in_kit import Scene

scene = sign_in_kit.scene


def pasted(scene: Scene, code: str | None = None, account: str | None = None) -> Any:
    """The answer of cmd/code in a sign-in that is opened for it; without ``code`` one that Dropbox gave."""
    address = scene.command("link", "PRESS")["data"]["authorize_url"]
    return scene.command("code", code or scene.dropbox.allow(asked(address), account))


def test_before_there_is_a_link(scene: Scene) -> None:
    scene.service.start()
    scene.link_is(state="unlinked")
    assert scene.command("code", "abc")["code"] == "no_sign_in"
    assert scene.command("unlink", "PRESS")["code"] == "not_linked"
    assert pasted(scene, "made-up")["code"] == "expired"
    scene.dropbox.pause()
    assert pasted(scene, "any")["code"] == "unreachable"
    scene.dropbox.resume()
    whole, scene.dropbox.app.scopes = scene.dropbox.app.scopes, ("account_info.read", "files.metadata.read")
    answer = pasted(scene)
    assert answer["code"] == "scope_missing"
    assert "files.content.write" in answer["message"]
    scene.link_is(state="scope_missing")
    mark = len(scene.wire.heard)
    assert scene.command("reset", "PRESS")["status"] == "ok"
    scene.link_is(after=mark, state="unlinked")
    scene.dropbox.app.scopes = whole
    assert pasted(scene)["status"] == "ok"
    scene.link_is(state="linked")


def test_another_account_needs_an_unlink_first(scene: Scene) -> None:
    scene.service.start()
    scene.link_is(state="unlinked")
    scene.link()
    assert pasted(scene, account="bob")["code"] == "wrong_account"
    scene.link_is(state="linked", open=True)
    assert scene.command("unlink", "PRESS")["status"] == "ok"
    assert pasted(scene, account="bob")["status"] == "ok"


def test_without_an_app_key_nobody_can_sign_in(scene: Scene) -> None:
    scene.service.settings["destination"] = {"type": "dropbox"}
    scene.service.start()
    scene.link_is(state="unlinked")
    assert scene.command("link", "PRESS")["code"] == "no_app_key"
    patch = {"patch": {"destination": {"app_key": scene.dropbox.app.key}}}
    assert scene.command("config", json.dumps(patch))["status"] == "ok"
    scene.link()
