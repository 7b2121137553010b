"""What is changed over MQTT is in the very next request to the camera, and what was taken away is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.camera_kit import CameraServer, DigestCamera, good
from tests.e2e.control_kit import Caller, Place

if TYPE_CHECKING:
    from pathlib import Path

    from tests.camera_kit import Visit


def test_the_next_request_has_the_changed_credentials_and_another_origin_gets_none(tmp_path: Path) -> None:
    with CameraServer({"/good": good()}) as camera, CameraServer({"/good": good()}) as other:
        auth = {"type": "basic", "username": "u", "password": "old"}
        porch = {"source": camera.url(), "interval": "1d", "auth": auth, "headers": {"X-Key": "old"}}
        place = Place(tmp_path, cameras={"porch": porch})
        caller = place.start()
        try:
            _changed_and_moved(caller, camera, other)
        finally:
            caller.__exit__()
            place.close()


def _changed_and_moved(caller: Caller, camera: CameraServer, other: CameraServer) -> None:
    assert _asked(caller, camera) == ("Basic dTpvbGQ=", "old", None)
    assert _asked(caller, camera) == ("Basic dTpvbGQ=", "old", None)
    new = {"auth": {"password": "new"}, "headers": {"X-Key": None, "X-Other": "new"}}
    assert caller.config({"cameras": {"porch": new}})["status"] == "ok"
    assert _asked(caller, camera) == ("Basic dTpuZXc=", None, "new")
    assert set(caller.set("source", other.url(), "porch")["data"]["dropped"]) == {
        "cameras.porch.auth",
        "cameras.porch.headers.X-Other",
    }
    assert _asked(caller, other) == (None, None, None)
    door = DigestCamera("u", "fresh")
    other.behaviours["/good"] = door
    login = {"type": "digest", "username": "u", "password": "fresh"}
    assert caller.config({"cameras": {"porch": {"auth": login}}})["status"] == "ok"
    assert str(_asked(caller, other)[0]).startswith("Digest ")
    assert len(camera.requests) == 3, "the old source is asked no more"


def _asked(caller: Caller, camera: CameraServer) -> tuple[str | None, ...]:
    """Takes a frame; what the last request for it carried."""
    done = caller.done(caller.ask("capture", camera="porch")["id"])
    assert done["status"] == "ok", done
    visit: Visit = camera.requests[-1]
    return tuple(visit.headers.get(name) for name in ("authorization", "x-key", "x-other"))
