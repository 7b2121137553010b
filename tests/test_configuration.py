"""The settings in force and what is stored of them: both at once, or nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from edge_service.configuration import CHANGES_KEY, REV_KEY, Configuration, read_changes
from edge_service.errors import PersonNeededError
from edge_service.layers import read_layers
from tests.settings_kit import base_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from edge_service.ports import RememberedCommand

BASE = base_of({"cameras": {"porch": {"source": "http://192.168.1.20/a.jpg", "interval": 60}}})


class Stored:
    """A memory and a vault by hand."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}
        self.commits: list[set[str]] = []
        self.broken = False

    def get(self, key: str) -> str | None:
        return self.kept.get(key)

    def put(self, key: str, value: str | None) -> None:
        self.put_all({key: value})

    def put_all(self, values: Mapping[str, str | None]) -> None:
        if self.broken:
            raise PersonNeededError("the disk cannot be written", code="disk_error")
        if values:
            self.commits.append(set(values))
        self.kept |= {key: value for key, value in values.items() if value is not None}
        for key in [key for key, value in values.items() if value is None]:
            self.kept.pop(key, None)

    def remembered(self, command_id: str) -> RememberedCommand | None:
        raise AssertionError(command_id)

    def remember(self, command: RememberedCommand) -> None:
        raise AssertionError(command)

    def announced(self) -> frozenset[str]:
        raise AssertionError

    def announce(self, added: Iterable[str], removed: Iterable[str] = ()) -> None:
        raise AssertionError(added, removed)

    def seal(self, text: str) -> str:
        return text[::-1]

    def open(self, sealed: str) -> str:
        return sealed[::-1]

    def digest_key(self) -> bytes:
        return b"key"

    def started(self) -> Configuration:
        """As a start finds it."""
        configuration = Configuration(read_layers(BASE, read_changes(self, self)), self, self)
        configuration.start()
        return configuration


def test_a_change_and_its_revision_are_one_commit() -> None:
    stored = Stored()
    configuration = stored.started()
    assert (configuration.rev, stored.commits) == (1, [{REV_KEY}])
    configuration.adopt(configuration.try_patch({"log": {"level": "debug"}}))
    assert (configuration.rev, stored.commits[1:]) == (2, [{CHANGES_KEY, REV_KEY}])
    configuration.adopt(configuration.try_patch({"log": {"level": "debug"}}))
    assert (configuration.rev, len(stored.commits)) == (2, 2), "nothing to store"
    again = stored.started()
    assert (again.rev, again.settings.log.level, len(stored.commits)) == (2, "debug", 2)


def test_forgetting_the_changes_is_one_commit_too() -> None:
    stored = Stored()
    configuration = stored.started()
    configuration.adopt(configuration.try_patch({"log": {"level": "debug"}}))
    assert configuration.forget_changes() == ("log.level",)
    assert (configuration.rev, stored.commits[2:]) == (3, [{CHANGES_KEY, REV_KEY}])
    assert CHANGES_KEY not in stored.kept
    assert stored.started().settings.log.level == "info"


def test_what_cannot_be_stored_is_not_in_force() -> None:
    stored = Stored()
    configuration = stored.started()
    patched = configuration.try_patch({"log": {"level": "debug"}})
    stored.broken = True
    with pytest.raises(PersonNeededError):
        configuration.adopt(patched)
    with pytest.raises(PersonNeededError):
        configuration.reload(base_of({"log": {"level": "debug"}}))
    assert (configuration.rev, configuration.settings.log.level) == (1, "info")
    assert list(configuration.settings.cameras) == ["porch"]
    assert json.loads(stored.kept[REV_KEY])["rev"] == 1
