"""What somebody who may send commands can make the service fetch: ``python -m tests.inside_canary FOLDER``.

Runs in a network of its own (net_kit): 192.0.2.10 is a camera outside, loopback holds the canaries. Prints JSON: for
each try the answer's code, what a capture came to, and at the end how often a canary was connected to.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.camera_kit import CameraServer, good, redirect
from tests.mosquitto_kit import Mosquitto, Wire
from tests.net_kit import NameServer, lift
from tests.service_kit import ServiceProcess

if TYPE_CHECKING:
    from tests.mosquitto_kit import Heard

OUTSIDE = "192.0.2.10"
B = "edge_service/s1"
TRIES = {
    "loopback": "http://127.0.0.1:{port}/good",
    "loopback, another of the net": "http://127.8.9.10:{port}/good",
    "loopback 6": "http://[::1]:{port}/good",
    "mapped": "http://[::ffff:127.0.0.1]:{port}/good",
    "by name": "http://localhost:{port}/good",
    "below localhost": "http://a.localhost:{port}/good",
    "short form": "http://127.1:{port}/good",
    "hexadecimal": "http://0x7f.1:{port}/good",
    "one number": "http://2130706433:{port}/good",
    "octal": "http://0177.0.0.1:{port}/good",
    "unspecified": "http://0.0.0.0:{port}/good",
    "metadata": "http://169.254.169.254/latest/meta-data/",
    "metadata by name": "http://metadata.google.internal/",
    "link-local 6": "http://[fe80::1]:{port}/good",
    "file": "file:///etc/passwd",
    "ftp": "ftp://192.0.2.10/good",
    "gopher": "gopher://127.0.0.1:{port}/_x",
    "user trick": "http://192.0.2.10@127.0.0.1:{port}/good",
    "backslash": "http://192.0.2.10\\@127.0.0.1:{port}/good",
    "a name that is inside": "http://inside.test:{port}/good",
    "a name for the metadata": "http://link.test/latest",
    "a name with both": "http://mixed.test:{port}/good",
    "redirect to inside": "http://192.0.2.10:{port}/inside",
    "redirect to a name that is inside": "http://192.0.2.10:{port}/named",
    "redirect to a file": "http://192.0.2.10:{port}/file",
    "rebinding": "http://rebind.test:{port}/good",
}


def answered(wire: Wire, topic: str, payload: str, identity: str) -> dict[str, Any]:
    """The answer to a command with this id."""
    begin = len(wire.heard)
    wire.send(topic, payload)

    def is_it(heard: Heard) -> bool:
        return heard.topic.startswith(f"{B}/response/") and heard.json.get("id") == identity

    found: dict[str, Any] = wire.wait(is_it, 15, after=begin).json
    return found


def captured(wire: Wire, identity: str) -> str:
    """What a capture came to: result and reason."""
    begin = len(wire.heard)
    answered(wire, f"{B}/cam/porch/cmd/capture", json.dumps({"id": identity}), identity)
    done = wire.wait(lambda heard: heard.topic == f"{B}/event" and heard.json.get("id") == identity, 15, after=begin)
    data = done.json["data"]
    return f"{data['result']} {data['reason'] or ''}".strip()


def run(folder: Path, port: int, outside: CameraServer) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    settings = {
        "node": "s1",
        "destination": {"type": "folder", "path": str(folder / "out")},
        "spool": {"min_free_bytes": 0},
        "cameras": {"porch": {"source": outside.url(), "interval": "1d"}},
    }
    with (
        Mosquitto(folder) as broker,
        Wire(broker.port, f"{B}/#") as wire,
        ServiceProcess(folder, {**settings, "mqtt": {"url": broker.url}}),
    ):
        wire.wait_for(f"{B}/status", b"online", 30)
        for number, (name, template) in enumerate(TRIES.items()):
            source = template.format(port=port)
            patch = {"id": f"c{number}", "patch": {"cameras": {"porch": {"source": source}}}}
            answer = answered(wire, f"{B}/cmd/config", json.dumps(patch), f"c{number}")
            found[name] = {"code": answer["code"], "results": []}
            if answer["status"] == "error":
                continue
            found[name]["results"].append(captured(wire, f"s{number}"))
            outside.hang_up()  # the next connection asks for the address again
            found[name]["results"].append(captured(wire, f"t{number}"))
    return found


def main() -> None:
    lift(OUTSIDE)
    folder = Path(sys.argv[1])
    moved = itertools.chain([[OUTSIDE]], itertools.repeat(["127.0.0.1"]))
    NameServer(
        {
            "inside.test": lambda: ["127.0.0.1"],
            "link.test": lambda: ["169.254.169.254"],
            "mixed.test": lambda: ["127.0.0.1", OUTSIDE],
            "rebind.test": lambda: next(moved),
        }
    )
    with contextlib.ExitStack() as stack:
        outside = stack.enter_context(CameraServer({"/good": good()}, host=OUTSIDE))
        port = outside.port
        outside.behaviours["/inside"] = redirect(f"http://127.0.0.1:{port}/good")
        outside.behaviours["/named"] = redirect(f"http://inside.test:{port}/good")
        outside.behaviours["/file"] = redirect("file:///etc/passwd")
        canaries = [
            stack.enter_context(CameraServer({"/good": good()}, host=host, port=port))
            for host in ("127.0.0.1", "::1", "127.8.9.10")
        ]
        found = run(folder, port, outside)
    print(json.dumps({"tries": found, "canaries": sum(one.connections for one in canaries)}))  # noqa: T201 - its result


if __name__ == "__main__":
    main()
