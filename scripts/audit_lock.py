"""What ``scripts/audit`` runs: a lock file held against OSV over the network (pip-audit), or against a local copy of an
advisory database, and a plain word about what that could and could not tell.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from packaging.markers import Marker

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from scripts import advisories

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


def judged_here(
    database: advisories.Database, packages: list[str], now: datetime, max_age: timedelta
) -> tuple[int, list[str]]:
    """The exit code and what to say of ``name==version`` each, by a local database that may be ``max_age`` old."""
    if database.newest is None:
        return UNKNOWN, ["No advisory was found in that folder: NOTHING was checked for known holes."]
    said = [_described(database, now)]
    doubtful = [f"{path}: could not be read" for path in database.unread]
    known = 0
    for name, version in (package.split("==", 1) for package in packages):
        found, unclear = advisories.holes(database, name, version)
        known += len(found)
        said += [_told(hole) for hole in found]
        doubtful += [f"{name} {version}: {advisory}: its versions could not be compared" for advisory in unclear]
    said += [*doubtful, f"{len(packages)} packages checked, {known} known holes."]
    old = now - database.newest > max_age
    if old:
        said.append(f"The database is older than {max_age.days} days: it cannot tell what was found since.")
    if known:
        return HOLES, said
    return (UNKNOWN if doubtful or old or not packages else GOOD), said


def _described(database: advisories.Database, now: datetime) -> str:
    newest = database.newest or now
    return (
        f"database: {database.advisories} advisories, {database.withdrawn} of them withdrawn, "
        f"the last change of {newest:%Y-%m-%d}, {(now - newest).days} days ago"
    )


def _told(hole: advisories.Hole) -> str:
    names = ", ".join((hole.id, *hole.aliases))
    return f"{hole.package} {hole.version}: {names}, mended in {', '.join(hole.mended_in) or 'no version yet'}"


def main(words: list[str] | None = None) -> int:
    """Audit one lock."""
    given = _given(words)
    lock = ROOT / ("requirements-dev.lock" if given.dev else "requirements.lock")
    text = lock.read_text(encoding="utf-8")
    if bare := unhashed(text):
        print(f"{lock.name} names these without a hash: {', '.join(bare)}")
        return HOLES
    packages = locked(text)
    print(f"{lock.name}: {len(packages)} packages, each with its hashes")
    if given.database:
        database = advisories.read(given.database)
        code, said = judged_here(database, packages, datetime.now(UTC), timedelta(days=given.max_age))
    else:
        code, said = _asked(lock, len(packages), given.osv_url)
    print("\n".join(said))
    return code


def _given(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/audit", description="Known holes of the locked packages.")
    parser.add_argument("--dev", action="store_true", help="also what builds and tests it")
    parser.add_argument("--osv-url", metavar="URL", default="https://api.osv.dev/v1/query", help="a mirror of OSV")
    parser.add_argument(
        "--database", metavar="DIR", type=Path, help="a local folder of OSV files instead of the network"
    )
    parser.add_argument(
        "--max-age", metavar="DAYS", type=int, default=30, help="older databases call no lock clean (30)"
    )
    given = parser.parse_args(words)
    if given.database and not given.database.is_dir():
        parser.error(f"--database: {given.database} is no folder")
    return given


def _asked(lock: Path, packages: int, url: str) -> tuple[int, list[str]]:
    command = [".venv/bin/uv", "tool", "run", "--from", PIP_AUDIT, "pip-audit", "--disable-pip", "--require-hashes"]
    options = ["--vulnerability-service", "osv", "--osv-url", url, "--format", "json", "--timeout", "20"]
    done = subprocess.run(
        [*command, *options, "--requirement", str(lock)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    code, said = judged(done.stdout, packages)
    return code, said + (done.stderr.strip().splitlines()[-1:] if code == UNKNOWN else [])


if __name__ == "__main__":
    sys.exit(main())
