"""An advisory database on this machine's own disk: a folder of OSV files, one advisory each, as JSON or YAML.

Such are the git repositories of PyPA and of GitHub (their ``advisory-database``) and the archive of PyPI that OSV offers
for download. The form, and how a version is held against it: https://ossf.github.io/osv-schema/.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version
from ruamel.yaml import YAML, YAMLError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_FORMS = (".json", ".yaml", ".yml")
_ORDER = {"introduced": 0, "last_affected": 1, "fixed": 2}  # of events at one version


@dataclass(frozen=True, kw_only=True)
class Advisory:
    """What one advisory says of one package."""

    id: str
    aliases: tuple[str, ...]
    affected: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Hole:
    """A version that an advisory names; ``mended_in`` are the later versions that are free of it, if any."""

    package: str
    version: str
    id: str
    aliases: tuple[str, ...]
    mended_in: tuple[str, ...]


@dataclass(kw_only=True)
class Database:
    """The advisories of PyPI by canonical package name; ``newest`` is the last change of any that the folder holds."""

    advisories: int = 0
    withdrawn: int = 0
    newest: datetime | None = None
    unread: list[str] = field(default_factory=list)
    by_package: dict[str, list[Advisory]] = field(default_factory=lambda: defaultdict(list))


def read(folder: Path) -> Database:
    """All advisories below a folder; hidden folders are left out, files that are no advisories are passed over."""
    found = Database()
    for path in _files(folder):
        try:
            entry = _loaded(path)
            if isinstance(entry, dict) and "id" in entry and "modified" in entry:
                _take(found, entry)
        except (OSError, ValueError, TypeError, KeyError, AttributeError, YAMLError) as error:
            found.unread.append(f"{path.relative_to(folder)}: {type(error).__name__}")
    return found


def holes(database: Database, package: str, version: str) -> tuple[list[Hole], list[str]]:
    """The holes of one locked version, and the ids of advisories that could not be held against it."""
    found: list[Hole] = []
    doubtful: list[str] = []
    locked = Version(version)
    for advisory in database.by_package.get(canonicalize_name(package), []):
        try:
            hit = _affects(advisory.affected, locked)
            mended = _mended_in(advisory.affected, locked) if hit else ()
        except (InvalidVersion, KeyError, TypeError, AttributeError):
            doubtful.append(advisory.id)
            continue
        if hit:
            hole = Hole(package=package, version=version, id=advisory.id, aliases=advisory.aliases, mended_in=mended)
            found.append(hole)
    return found, doubtful


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix in _FORMS and not hidden and path.is_file():
            yield path


def _loaded(path: Path) -> object:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        loaded: object = json.loads(text)
        return loaded
    return YAML(typ="base", pure=True).load(text)  # all scalars stay text: 1.10 is a version, not the number 1.1


def _take(database: Database, entry: dict[str, Any]) -> None:
    about = [one for one in entry.get("affected", []) if one["package"]["ecosystem"].partition(":")[0] == "PyPI"]
    changed = datetime.fromisoformat(entry["modified"]).astimezone(UTC)
    packages = [canonicalize_name(one["package"]["name"]) for one in about]
    advisory_id, aliases = str(entry["id"]), tuple(str(alias) for alias in entry.get("aliases") or ())
    database.newest = max(changed, database.newest or changed)
    database.advisories += 1
    if entry.get("withdrawn"):
        database.withdrawn += 1
        return
    for package, one in zip(packages, about, strict=True):
        database.by_package[package].append(Advisory(id=advisory_id, aliases=aliases, affected=one))


def _affects(affected: Mapping[str, Any], version: Version) -> bool:
    """By OSV's rule: the version is listed, or lies in one of the ranges."""
    if any(_same(text, version) for text in affected.get("versions") or ()):
        return True
    return any(_in_range(events, version) for events in _ranges(affected))


def _same(text: str, version: Version) -> bool:
    try:
        return Version(text) == version
    except InvalidVersion:  # a version of before PEP 440, which no lock can name
        return False


def _ranges(affected: Mapping[str, Any]) -> list[list[tuple[Version | None, str]]]:
    """The events of each range in order; None is "0", which comes before every version. Ranges of commits are left out."""
    found = []
    for one in affected.get("ranges") or ():
        if one["type"] == "GIT":
            continue
        events = [(name, text) for event in one["events"] for name, text in event.items() if name in _ORDER]
        dated = [(None if text == "0" else Version(text), name) for name, text in events]
        found.append(
            sorted(dated, key=lambda event: (event[0] is not None, event[0] or Version("0"), _ORDER[event[1]]))
        )
    return found


def _in_range(events: Sequence[tuple[Version | None, str]], version: Version) -> bool:
    inside = False
    for at, name in events:
        if at is None or version > at or (version == at and name != "last_affected"):
            inside = name == "introduced"
    return inside


def _mended_in(affected: Mapping[str, Any], version: Version) -> tuple[str, ...]:
    fixes = {at for events in _ranges(affected) for at, name in events if name == "fixed" and at is not None}
    return tuple(str(at) for at in sorted(fixes) if at > version)
