"""What the emulator can carry: ``python -m tests.dropbox_emulator.bench`` prints files/s and CPU of ways to upload.

The server is a process of its own. The write lock (20 ms a commit, 2 ms a file) is assumed: real ones are unpublished.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import requests

if TYPE_CHECKING:
    from collections.abc import Callable

    from dropbox import Dropbox

_PER_REQUEST = 25


class Server:
    """The emulator in a process of its own, driven by its admin endpoint."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.dropbox_emulator", "--forget-bytes"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        if self._process.stdout is None:
            raise RuntimeError("no output")
        self.environment: dict[str, str] = {}
        while not (line := self._process.stdout.readline()).startswith("#"):
            name, _, value = line.removeprefix("export ").strip().partition("=")
            self.environment[name] = value

    def admin(self, method: str, name: str, **body: object) -> Any:
        url = f"https://{self.environment['DROPBOX_API_HOST']}/admin/{name}"
        answer = requests.request(method, url, json=body, verify=self.environment["EDGE_SERVICE_CA_FILE"], timeout=10)
        answer.raise_for_status()
        return answer.json()

    def cpu(self) -> float:
        return float(self.admin("GET", "state")["cpu_s"])

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)


def loop(client: Dropbox, pictures: list[bytes], folder: str) -> None:
    for number, picture in enumerate(pictures):
        client.files_upload(picture, f"{folder}/{number:05d}.jpg", mute=True)


def batched(client: Dropbox, pictures: list[bytes], folder: str) -> None:
    """start_batch, append_batch by two threads, one finish_batch_v2 for each 100."""
    from dropbox import files  # noqa: PLC0415 - its hosts are set first

    for first in range(0, len(pictures), 100):
        part = pictures[first : first + 100]
        ids = client.files_upload_session_start_batch(len(part)).session_ids

        def send(at: int, part: list[bytes] = part, ids: list[str] = ids) -> None:
            chosen = range(at, min(at + _PER_REQUEST, len(part)))
            entries = [
                files.UploadSessionAppendBatchArgEntry(
                    files.UploadSessionCursor(ids[item], 0), len(part[item]), close=True
                )
                for item in chosen
            ]
            client.files_upload_session_append_batch(b"".join(part[item] for item in chosen), entries)

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(send, range(0, len(part), _PER_REQUEST)))
        _finish(client, [(ids[item], len(part[item])) for item in range(len(part))], f"{folder}/{first}")


def started(client: Dropbox, pictures: list[bytes], folder: str) -> None:
    """start(close) by eight threads, one finish_batch_v2 for each 100."""

    def send(picture: bytes) -> tuple[str, int]:
        return client.files_upload_session_start(picture, close=True).session_id, len(picture)

    with ThreadPoolExecutor(8) as pool:
        for first in range(0, len(pictures), 100):
            _finish(client, list(pool.map(send, pictures[first : first + 100])), f"{folder}/{first}")


def _finish(client: Dropbox, sessions: list[tuple[str, int]], prefix: str) -> None:
    from dropbox import files  # noqa: PLC0415 - its hosts are set first

    entries = [
        files.UploadSessionFinishArg(
            files.UploadSessionCursor(session, size), files.CommitInfo(f"{prefix}-{number:03d}.jpg", mute=True)
        )
        for number, (session, size) in enumerate(sessions)
    ]
    for entry in client.files_upload_session_finish_batch_v2(entries).entries:
        if not entry.is_success():
            raise RuntimeError(str(entry))


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=300)
    parser.add_argument("--size", type=int, default=300_000)
    parser.add_argument("--lock", type=float, default=0.02)
    parser.add_argument("--per-entry", type=float, default=0.002)
    given = parser.parse_args()
    ways: dict[str, Callable[[Dropbox, list[bytes], str], None]] = {
        "files_upload loop, 1 thread": loop,
        "start(close) x 8 + finish_batch_v2": started,
        "start_batch + append_batch x 2 + finish_batch_v2": batched,
    }
    server = Server()
    try:
        os.environ.update(server.environment)
        import dropbox  # noqa: PLC0415 - its hosts are set first

        grant = server.admin("POST", "grant")
        sys.stdout.write(f"{given.files} files of {given.size} B, lock {given.lock} + {given.per_entry} s per entry\n")
        sys.stdout.write(
            f"{'way':50} {'latency':>8} {'files/s':>8} {'client CPU ms/file':>19} {'server CPU ms/file':>19}\n"
        )
        for latency in (0.0, 0.08):
            server.admin("POST", "behaviour", latency=latency, lock_s=given.lock, per_entry_s=given.per_entry)
            for name, way in ways.items():
                pictures = [os.urandom(given.size) for _ in range(given.files)]
                ca_file = server.environment["EDGE_SERVICE_CA_FILE"]
                with dropbox.Dropbox(grant["access_token"], ca_certs=ca_file) as client:
                    own, cpu, begin = time.process_time(), server.cpu(), time.monotonic()
                    way(client, pictures, f"/{latency}/{way.__name__}")
                    took = time.monotonic() - begin
                    mine, its = (time.process_time() - own) / given.files, (server.cpu() - cpu) / given.files
                line = f"{name:50} {latency:8.2f} {given.files / took:8.1f} {mine * 1000:19.2f} {its * 1000:19.2f}\n"
                sys.stdout.write(line)
                sys.stdout.flush()
    finally:
        server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
