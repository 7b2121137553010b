"""The audit never calls a lock clean that nobody could look at."""

from __future__ import annotations

import json

import pytest

from scripts import audit_lock

HOLE = {"id": "PYSEC-1", "fix_versions": ["2.0"]}


def answer(*dependencies: dict[str, object]) -> str:
    return json.dumps({"dependencies": dependencies, "fixes": []})


@pytest.mark.parametrize(
    ("printed", "code", "word"),
    [
        (answer({"name": "a", "version": "1", "vulns": []}, {"name": "b", "version": "1", "vulns": []}), 0, "2 of 2"),
        (answer({"name": "a", "version": "1", "vulns": [HOLE]}, {"name": "b", "version": "1", "vulns": []}), 1, "2.0"),
        (answer({"name": "a", "version": "1", "vulns": []}, {"name": "b", "skip_reason": "gone"}), 3, "not checked"),
        (answer({"name": "a", "version": "1", "vulns": [HOLE]}, {"name": "b", "skip_reason": "gone"}), 1, "PYSEC-1"),
        (answer(), 3, "0 of 2"),
        ("", 3, "NOTHING was checked"),
        ("Traceback", 3, "NOTHING was checked"),
        ("[]", 3, "NOTHING was checked"),
    ],
)
def test_only_a_lock_that_was_looked_at_is_clean(printed: str, code: int, word: str) -> None:
    found, said = audit_lock.judged(printed, 2)
    assert found == code
    assert word in "\n".join(said)


def test_both_locks_name_a_hash_for_every_package() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (audit_lock.ROOT / name).read_text(encoding="utf-8")
        assert len(audit_lock.locked(text)) > 20
        assert "colorama" not in " ".join(audit_lock.locked(text))  # for Windows only
        assert audit_lock.unhashed(text) == []
    assert audit_lock.unhashed("a==1 \\\n    --hash=sha256:00\nb==2\nc==3 ; x\n") == ["b==2", "c==3"]
