"""SIGHUP while it runs: a new timezone counts everywhere at once, what needs a restart stays as it is and is named."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tests.camera_kit import CameraServer, good
from tests.e2e.control_kit import B, Caller
from tests.mosquitto_kit import Mosquitto
from tests.service_kit import ServiceProcess, wait_until

if TYPE_CHECKING:
    from pathlib import Path

INDIA = timedelta(hours=5, minutes=30)


def made_old(folder: Path) -> None:
    """The frame that waits was taken yesterday."""
    with sqlite3.connect(folder / "data/edge_service.db") as database:
        day_ms = 24 * 3600 * 1000
        query = "update frames set at = at - ?, captured_at = captured_at - ?"
        assert database.execute(query, (day_ms, day_ms)).rowcount == 1
    database.close()


def test_a_new_zone_counts_everywhere_and_what_needs_a_restart_is_named(tmp_path: Path) -> None:
    (tmp_path / "broker").mkdir()
    out = tmp_path / "out"
    out.write_text("in the way of the destination", encoding="utf-8")
    india = datetime.now(UTC) + INDIA  # noqa: TID251 - the service has the real clock
    hours = f"{india - timedelta(hours=1):%H:%M}-{india + timedelta(hours=1):%H:%M}"
    with Mosquitto(tmp_path / "broker") as broker, CameraServer({"/good": good()}) as camera:
        settings = {
            "node": "garden",
            "timezone": "UTC",
            "mqtt": {"url": broker.url},
            "destination": {"type": "folder", "path": str(out)},
            "spool": {"min_free_bytes": 0},
            "upload": {"batch_seconds": 0, "hours": hours},
            "cameras": {"porch": {"source": camera.url("/good"), "interval": "1d"}},
        }
        service = ServiceProcess(tmp_path, settings)
        caller = Caller(broker.port)
        with caller:
            with service:
                caller.wait_for(f"{B}/status", b"online", 30)
                caller.done(caller.ask("capture", camera="porch")["id"])
                assert service.stop() == 0
            made_old(tmp_path)
            out.unlink()
            caller.heard.clear()
            with service:
                caller.wait_for(f"{B}/status", b"online", 30)
                caller.done(caller.ask("capture", camera="porch")["id"])
                wait_until(lambda: len(list(out.rglob("*.jpg"))) == 1, 20, "the live frame goes")
                wait_until(lambda: caller.state()["queue"]["frames"] == 1, 20, "the old one waits")

                service.settings |= {"timezone": "Asia/Kolkata", "node": "yard", "log": {"format": "json"}}
                service.settings["mqtt"] = {"url": broker.url, "base_topic": "other"}
                service.write()
                os.kill(service.pid, signal.SIGHUP)
                wait_until(lambda: len(list(out.rglob("*.jpg"))) == 2, 30, "its hours are now")
                caller.done(caller.ask("capture", camera="porch")["id"])
                wait_until(lambda: len(list(out.rglob("garden_porch_*+0530*.jpg"))) == 1, 20, "a name in the new zone")
                wait_until(lambda: caller.state()["at"].endswith("+05:30"), 20, "the state in the new zone")
                config = caller.last(f"{B}/config")
                assert config is not None
                in_force = config.json["config"]
                assert (in_force["timezone"], in_force["node"]) == ("Asia/Kolkata", "garden")
                assert in_force["mqtt"]["base_topic"] == "edge_service"
                log = [json.loads(line) for line in service.output().splitlines() if line.startswith("{")]
                assert all(line["at"].endswith("+05:30") for line in log)
                for key in ("node", "mqtt"):
                    assert f"{key}: the change in the file needs a restart" in service.output()
                mark = len(caller.heard)
                assert caller.config({"log": {"level": "debug"}})["data"]["changed"] == ["log.level"]
                caller.wait(lambda heard: heard.topic == f"{B}/config", 10, after=mark)
                assert service.stop() == 0
    assert not [heard.topic for heard in caller.heard if heard.topic.startswith(("edge_service/yard", "other"))]


def test_a_reset_to_a_file_that_is_not_enough_alone_is_refused_whole(tmp_path: Path) -> None:
    (tmp_path / "broker").mkdir()
    with Mosquitto(tmp_path / "broker") as broker, CameraServer({"/good": good()}) as camera:
        settings = {
            "node": "garden",
            "mqtt": {"url": broker.url},
            "destination": {"type": "folder", "path": str(tmp_path / "out")},
            "spool": {"min_free_bytes": 0},
            "cameras": {"porch": {"source": camera.url("/good"), "interval": "1d"}},
        }
        service = ServiceProcess(tmp_path, settings)
        with Caller(broker.port) as caller, service:
            caller.wait_for(f"{B}/status", b"online", 30)
            assert caller.config({"cameras": {"porch": {"source": camera.url("/good?other")}}})["status"] == "ok"
            service.settings["cameras"] = {"porch": {"interval": "2h"}}
            service.write()
            os.kill(service.pid, signal.SIGHUP)
            caller.wait(lambda heard: heard.topic == f"{B}/cam/porch/state" and heard.json["interval_s"] == 7200, 20)
            answer = caller.ask("reset")
            assert (answer["status"], answer["code"]) == ("error", "invalid")
            assert answer["errors"][0]["path"] == "cameras.porch.source"
            assert caller.state()["capture"] == "running", "all or nothing"
            assert service.stop() == 0
