"""The service as its users run it: a process of its own, a file, and MQTT."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from edge_service.adapters.progress.place import bases, folder_name, pointer_name

ROOT = Path(__file__).resolve().parent.parent
HOST_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")


def clean_environment(extra: dict[str, str] | None = None) -> dict[str, str]:
    """This process's environment without certificate settings of the machine, so that only ours count."""
    environment = {key: value for key, value in os.environ.items() if key not in HOST_VARIABLES}
    environment["PYTHONPATH"] = str(ROOT)
    environment.update(extra or {})
    return environment


def wait_until(condition: Any, seconds: float = 10.0, what: str = "") -> None:
    """Poll ``condition`` until it is true; fails with ``what`` after ``seconds``."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what or condition}")
        time.sleep(0.02)  # noqa: TID251 - a test polls the outside of a process


def read_until(process: subprocess.Popen[str], wanted: str) -> str:
    """What ``process`` prints up to the line that holds ``wanted``; fails with it when it ends before."""
    assert process.stdout is not None
    said = ""
    while wanted not in said:
        line = process.stdout.readline()
        assert line, f"ended without {wanted!r}: {said}"
        said += line
    return said


class ServiceProcess:
    """``edge-service run`` on a file made of ``settings`` (JSON is YAML)."""

    def __init__(self, folder: Path, settings: dict[str, Any], environment: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.config = folder / "config.yaml"
        self.log = folder / "service.log"
        self._pids: list[int] = []
        self.settings = {"data_dir": str(folder / "data"), **settings}
        self.environment = clean_environment(environment)
        self.before: tuple[str, ...] = ()
        """what the process is started by, a tracer for instance; it must become the process"""
        self.process: subprocess.Popen[bytes] | None = None
        atexit.register(self._tidy)

    def _tidy(self) -> None:
        """One that was killed left its marks in memory, and libfaketime its own."""
        data = os.path.realpath(self.settings["data_dir"])
        for base in map(Path, bases()):
            shutil.rmtree(base / folder_name(data, os.geteuid()), ignore_errors=True)
            (base / pointer_name(os.path.realpath(self.config), os.geteuid())).unlink(missing_ok=True)
        for pid in self._pids:
            for name in (f"faketime_shm_{pid}", f"sem.faketime_sem_{pid}"):
                Path("/dev/shm", name).unlink(missing_ok=True)  # noqa: S108

    def write(self) -> None:
        """Write the file anew."""
        self.config.write_text(json.dumps(self.settings, indent=1), encoding="utf-8")

    def start(self) -> ServiceProcess:
        """Start the process; returns at once."""
        self.write()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.before, sys.executable, "-m", "edge_service", "run", "--config", str(self.config)],
                cwd=self.folder,
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        self._pids.append(self.process.pid)
        return self

    def command(self, *words: str, timeout: float = 60, text: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run another ``edge-service`` command on the same file."""
        return subprocess.run(
            [sys.executable, "-m", "edge_service", words[0], "--config", str(self.config), *words[1:]],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            input=text,
            timeout=timeout,
            check=False,
        )

    def popen(self, *words: str) -> subprocess.Popen[str]:
        """Start another ``edge-service`` command on the same file, to be talked to."""
        return subprocess.Popen(
            [sys.executable, "-m", "edge_service", words[0], "--config", str(self.config), *words[1:]],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def rows(self, query: str) -> list[Any]:
        """Ask the database on disk."""
        address = f"file:{self.folder}/data/edge_service.db?mode=ro"
        with contextlib.closing(sqlite3.connect(address, uri=True)) as database:
            return database.execute(query).fetchall()

    @property
    def alive(self) -> bool:
        """True while the process runs."""
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self.process is not None
        return self.process.pid

    def stop(self, timeout: float = 10.0) -> int:
        """SIGTERM and wait; returns the exit code."""
        assert self.process is not None
        if self.alive:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def kill(self) -> None:
        """Kill -9 and wait."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def output(self) -> str:
        """All that the process printed so far."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    def __enter__(self) -> ServiceProcess:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        if self.alive:
            self.kill()
