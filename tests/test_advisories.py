"""A local advisory database: what it names is found, what it does not name is not, what it cannot tell is said."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from scripts import advisories, audit_lock

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 25, tzinfo=UTC)
MONTH = timedelta(days=30)


def advisory(*, name: str = "pillow", ecosystem: str = "PyPI", **affected: Any) -> dict[str, Any]:
    package = {"ecosystem": ecosystem, "name": name}
    return {
        "id": "PYSEC-1",
        "modified": "2026-11-20T10:00:00.123456Z",
        "aliases": ["CVE-1"],
        "affected": [{"package": package, **affected}],
    }


def ranged(*events: dict[str, str], kind: str = "ECOSYSTEM") -> list[dict[str, Any]]:
    return [{"type": kind, "events": list(events)}]


def judged(folder: Path, *packages: str, now: datetime = NOW) -> tuple[int, str]:
    code, said = audit_lock.judged_here(advisories.read(folder), list(packages), now, MONTH)
    return code, "\n".join(said)


def stored(folder: Path, entry: dict[str, Any], path: str = "vulns/pillow/PYSEC-1.json") -> None:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_text(json.dumps(entry), encoding="utf-8")


ZERO = {"introduced": "0"}


@pytest.mark.parametrize(
    ("affected", "hit", "miss"),
    [
        ({"ranges": ranged(ZERO, {"fixed": "10.0.0"})}, ["0.1", "9.5.0", "10.0.0rc1"], ["10.0.0", "10", "11.2"]),
        ({"ranges": ranged({"introduced": "2.9"}, {"fixed": "2.10"})}, ["2.9", "2.9.9"], ["2.8", "2.10", "2.11"]),
        ({"ranges": ranged(ZERO, {"last_affected": "1.2"})}, ["1.2", "1.2.0"], ["1.2.1", "1.3"]),
        ({"ranges": ranged({"fixed": "2"}, {"introduced": "1"})}, ["1.5"], ["0.9", "2.0"]),  # in no order
        ({"ranges": ranged(ZERO, {"fixed": "1"}, {"introduced": "2"}, {"fixed": "3"})}, ["0.5", "2.5"], ["1", "3"]),
        ({"ranges": ranged(ZERO)}, ["1", "99"], []),
        ({"versions": ["1.0", "1.10", "2.0-beta"]}, ["1.0.0", "1.10", "2.0b0"], ["1.1", "2.0"]),
        ({"versions": ["not a version", "3"]}, ["3"], ["2"]),
        ({"versions": ["1.0"], "ranges": ranged({"introduced": "2"})}, ["1.0", "2.1"], ["1.1"]),
        ({"ranges": ranged(ZERO, {"fixed": "0badcafe"}, kind="GIT")}, [], ["1.0"]),
        ({}, [], ["1.0"]),
    ],
)
def test_a_version_is_held_against_lists_and_ranges(
    tmp_path: Path, affected: dict[str, Any], hit: list[str], miss: list[str]
) -> None:
    stored(tmp_path, advisory(**affected))
    for version in hit:
        code, said = judged(tmp_path, f"pillow=={version}")
        assert (version, code) == (version, audit_lock.HOLES)
        assert f"pillow {version}: PYSEC-1, CVE-1, mended in" in said
    for version in miss:
        assert (version, judged(tmp_path, f"pillow=={version}")[0]) == (version, audit_lock.GOOD)


def test_what_mends_a_hole_is_named(tmp_path: Path) -> None:
    stored(tmp_path, advisory(ranges=ranged(ZERO, {"fixed": "1.1"}, {"introduced": "2"}, {"fixed": "2.10"})))
    assert "mended in 2.10\n" in judged(tmp_path, "pillow==2.9")[1]
    stored(tmp_path, advisory(versions=["2.9"]))
    assert "mended in no version yet" in judged(tmp_path, "pillow==2.9")[1]


@pytest.mark.parametrize("name", ["Ruamel.YAML", "ruamel_yaml", "ruamel-yaml", "RUAMEL--yaml"])
def test_a_package_is_known_by_all_its_spellings(tmp_path: Path, name: str) -> None:
    stored(tmp_path, advisory(name=name, versions=["1"]))
    assert judged(tmp_path, "ruamel.yaml==1")[0] == audit_lock.HOLES
    assert judged(tmp_path, "ruamel==1")[0] == audit_lock.GOOD


def test_only_advisories_of_pypi_that_stand_count(tmp_path: Path) -> None:
    stored(tmp_path, advisory(versions=["1"]) | {"withdrawn": "2026-11-01T00:00:00Z"}, "a.json")
    stored(tmp_path, advisory(versions=["1"], ecosystem="npm"), "b.json")
    stored(tmp_path, advisory(versions=["1"]), ".git/c.json")
    stored(tmp_path, {"name": "no advisory"}, "d.json")
    (tmp_path / "README.md").write_text("pillow", encoding="utf-8")
    code, said = judged(tmp_path, "pillow==1")
    assert code == audit_lock.GOOD
    assert "2 advisories, 1 of them withdrawn, the last change of 2026-11-20, 4 days ago" in said


def test_yaml_keeps_a_version_as_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "id: PYSEC-2\nmodified: 2026-11-24T09:00:00Z\naffected:\n- package: {ecosystem: PyPI, name: Pillow}\n"
        "  ranges:\n  - type: ECOSYSTEM\n    events:\n    - introduced: 1.10\n    - fixed: 1.20\n  versions:\n  - 0.30\n",
        encoding="utf-8",
    )
    assert judged(tmp_path, "pillow==1.11")[0] == audit_lock.HOLES
    assert judged(tmp_path, "pillow==0.30")[0] == audit_lock.HOLES
    assert judged(tmp_path, "pillow==1.9")[0] == audit_lock.GOOD  # 1.10 as a number would be 1.1


def test_an_old_an_empty_or_a_damaged_database_calls_nothing_clean(tmp_path: Path) -> None:
    code, said = judged(tmp_path, "pillow==1")
    assert (code, "NOTHING was checked" in said) == (audit_lock.UNKNOWN, True)

    stored(tmp_path, advisory(versions=["2"]))
    assert judged(tmp_path, "pillow==1")[0] == audit_lock.GOOD
    assert judged(tmp_path)[0] == audit_lock.UNKNOWN
    code, said = judged(tmp_path, "pillow==1", now=NOW + MONTH)
    assert (code, "cannot tell what was found since" in said) == (audit_lock.UNKNOWN, True)
    assert judged(tmp_path, "pillow==2", now=NOW + MONTH)[0] == audit_lock.HOLES

    stored(tmp_path, advisory(ranges=ranged({"introduced": "what?"})))
    code, said = judged(tmp_path, "pillow==1")
    assert (code, "pillow 1: PYSEC-1: its versions could not be compared" in said) == (audit_lock.UNKNOWN, True)
    assert judged(tmp_path, "other==1")[0] == audit_lock.GOOD

    for path, text in (("cut.json", '{"id": "PYSEC-3", '), ("cut.yaml", "id: [PYSEC-4"), ("bytes.json", "\udcff")):
        (tmp_path / path).write_text(text, encoding="utf-8", errors="surrogateescape")
        code, said = judged(tmp_path, "other==1")
        assert (path, code) == (path, audit_lock.UNKNOWN)
        assert f"{path}: " in said
        (tmp_path / path).unlink()


def test_the_script_reads_a_folder_and_says_what_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored(tmp_path, advisory(name="Requests", ranges=ranged(ZERO)))
    assert audit_lock.main(["--database", str(tmp_path)]) == audit_lock.HOLES
    said = capsys.readouterr().out
    assert "database: 1 advisories, 0 of them withdrawn, the last change of" in said
    assert "requests 2." in said
    with pytest.raises(SystemExit) as wrong:
        audit_lock.main(["--database", str(tmp_path / "none")])
    assert wrong.value.code == 2
    assert "is no folder" in capsys.readouterr().err
