"""What ``scripts/audit`` runs: pip-audit over a lock file, and a plain word about what it could and could not tell."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from packaging.markers import Marker

ROOT = Path(__file__).resolve().parents[1]
PIP_AUDIT = "pip-audit==2.10.1"
GOOD, HOLES, UNKNOWN = 0, 1, 3
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)(?: *; *([^\\\n]+?))? *(?:\\)?$", re.MULTILINE)


def locked(lock: str) -> list[str]:
    """``name==version`` of every package of a lock file that is for this machine and Python."""
    found = _PINNED.findall(lock)
    return [f"{name}=={version}" for name, version, marker in found if not marker or Marker(marker).evaluate()]


def unhashed(lock: str) -> list[str]:
    """Packages that the lock names without a hash: whoever serves them could change them."""
    entries = re.split(r"^(?=[A-Za-z0-9])", lock, flags=re.MULTILINE)
    return [entry.split()[0] for entry in entries if entry[:1].isalnum() and "--hash=" not in entry]


def judged(answer: str, packages: int) -> tuple[int, list[str]]:
    """The exit code and what to say, of what pip-audit printed as JSON ("" when it came to nothing)."""
    try:
        found: list[dict[str, Any]] = json.loads(answer)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return UNKNOWN, ["No advisory database could be reached: NOTHING was checked for known holes."]
    holes = [
        f"{one['name']} {one['version']}: {hole['id']}, mended in {', '.join(hole['fix_versions']) or 'no version yet'}"
        for one in found
        for hole in one.get("vulns", [])
    ]
    skipped = [f"{one['name']}: not checked: {one['skip_reason']}" for one in found if "skip_reason" in one]
    checked = len(found) - len(skipped)
    said = [*holes, *skipped, f"{checked} of {packages} packages checked, {len(holes)} known holes."]
    if holes:
        return HOLES, said
    return (GOOD if checked >= packages > 0 else UNKNOWN), said


def main() -> int:
    """Audit one lock."""
    parser = argparse.ArgumentParser(prog="scripts/audit", description="Known holes of the locked packages.")
    parser.add_argument("--dev", action="store_true", help="also what builds and tests it")
    parser.add_argument("--osv-url", metavar="URL", default="https://api.osv.dev/v1/query", help="a mirror of OSV")
    given = parser.parse_args()
    lock = ROOT / ("requirements-dev.lock" if given.dev else "requirements.lock")
    text = lock.read_text(encoding="utf-8")
    if bare := unhashed(text):
        print(f"{lock.name} names these without a hash: {', '.join(bare)}")
        return HOLES
    packages = len(locked(text))
    print(f"{lock.name}: {packages} packages, each with its hashes")
    command = [".venv/bin/uv", "tool", "run", "--from", PIP_AUDIT, "pip-audit", "--disable-pip", "--require-hashes"]
    options = ["--vulnerability-service", "osv", "--osv-url", given.osv_url, "--format", "json", "--timeout", "20"]
    done = subprocess.run(
        [*command, *options, "--requirement", str(lock)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    code, said = judged(done.stdout, packages)
    if code == UNKNOWN:
        said += done.stderr.strip().splitlines()[-1:]
    print("\n".join(said))
    return code


if __name__ == "__main__":
    sys.exit(main())
