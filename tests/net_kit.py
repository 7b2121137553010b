"""A network of its own for a test program: nothing reaches it, it reaches nothing, and its names are ours.

``run_inside("tests.some_program", ...)`` starts the program in new network and mount namespaces (Linux; root, or user
namespaces). There :func:`lift` brings loopback up with more addresses on it, and :class:`NameServer` answers for all
names.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import socket
import struct
import subprocess
import sys
import threading
from functools import cache
from typing import TYPE_CHECKING, Any

from tests.service_kit import ROOT, clean_environment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Answer = Callable[[], list[str] | None]

_WAYS = (("unshare", "--net", "--mount"), ("unshare", "--map-root-user", "--net", "--mount"))
"""As root in a chroot only the first is allowed, as a user only the second."""
_SIOCSIFADDR, _SIOCGIFFLAGS, _SIOCSIFFLAGS, _UP = 0x8916, 0x8913, 0x8914, 1
_NXDOMAIN = 3


def why_not() -> str:
    """What keeps this machine from giving a program a network of its own; "" when nothing does."""
    if shutil.which("unshare") is None:
        return "unshare is not installed"
    return _way()[1]


@cache
def _way() -> tuple[tuple[str, ...], str]:
    """The first way that works, or why the last one does not."""
    for way in _WAYS:
        tried = subprocess.run([*way, "true"], capture_output=True, text=True, check=False)
        if not tried.returncode:
            return way, ""
    return way, tried.stderr.strip()


def run_inside(program: str, folder: Path, *words: str, timeout: float = 120) -> dict[str, Any]:
    """What ``program`` printed as JSON; its log is shown when it failed."""
    resolv = folder / "resolv.conf"
    resolv.write_text("nameserver 127.0.0.1\noptions timeout:30 attempts:2\n")
    script = f'mount --bind "{resolv}" /etc/resolv.conf && exec "$@"'
    done = subprocess.run(
        [*_way()[0], "sh", "-c", script, "sh", sys.executable, "-m", program, str(folder), *words],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def lift(*addresses: str) -> None:
    """Bring loopback up and give it these IPv4 addresses too."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        for number, address in enumerate(("127.0.0.1", *addresses)):
            name = f"lo:{number}".removesuffix(":0").encode()
            place = struct.pack("HH4s8x", socket.AF_INET, 0, socket.inet_aton(address))
            if number:
                fcntl.ioctl(asked, _SIOCSIFADDR, struct.pack("16s16s", name, place))
            flags = fcntl.ioctl(asked, _SIOCGIFFLAGS, struct.pack("16sH14x", name, 0))
            flag = struct.unpack("16sH14x", flags)[1] | _UP
            fcntl.ioctl(asked, _SIOCSIFFLAGS, struct.pack("16sH14x", name, flag))


class NameServer:
    """Answers for IPv4 addresses on port 53 of loopback; ``names`` maps each name to its answer, None is silence."""

    def __init__(self, names: dict[str, Answer]) -> None:
        self._names = names
        self.asked: list[str] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 53))
        threading.Thread(target=self._serve, name="names", daemon=True).start()

    def _serve(self) -> None:
        while True:
            question, asker = self._socket.recvfrom(4096)
            answer = self._answer(question)
            if answer is not None:
                self._socket.sendto(answer, asker)

    def _answer(self, question: bytes) -> bytes | None:
        labels, at = [], 12
        while question[at]:
            labels.append(question[at + 1 : at + 1 + question[at]].decode())
            at += 1 + question[at]
        kind = struct.unpack(">H", question[at + 1 : at + 3])[0]
        name, asked = ".".join(labels).lower(), question[12 : at + 5]
        known = self._names.get(name)
        if kind == 1:
            self.asked.append(name)
        addresses = known() if known is not None and kind == 1 else []
        if addresses is None or (known is not None and kind != 1 and name.startswith("silent")):
            return None
        code = 0 if known is not None else _NXDOMAIN
        head = question[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, len(addresses), 0, 0)
        records = b"".join(
            b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 0, 4) + socket.inet_aton(address) for address in addresses
        )
        return head + asked + records
