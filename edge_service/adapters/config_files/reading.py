"""Reads the settings file, ``secrets.yaml`` beside it and the environment; knows nothing of what settings mean.

YAML is composed to nodes, not constructed: every scalar stays the text it is written as (its key's type says what it
means), and every key keeps its line. Writes nothing.
"""

from __future__ import annotations

import difflib
import stat
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from edge_service.adapters.config_files.certificates import certificate_faults
from edge_service.adapters.config_files.yaml_tree import Resolve, Resolver, YamlTree, read_yaml
from edge_service.environment import Readers, environment_layer
from edge_service.errors import Fault, SettingsError
from edge_service.layers import Base, Layer, Loaded, read_layers
from edge_service.setting_types import Text
from edge_service.units import id_from_host

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge_service.changes import Changes

DEFAULT_FILE: Final = "config.yaml"
SECRETS_FILE: Final = "secrets.yaml"
FILE_VARIABLE: Final = "EDGE_SERVICE_CONFIG"
_MOST_BYTES: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class ConfigRead:
    """What was read. ``path`` is the file (None: there is none, which is legal at the default place)."""

    base: Base
    faults: tuple[Fault, ...]
    warnings: tuple[Fault, ...]
    path: FilePath | None
    secrets: frozenset[str] = field(repr=False, default=frozenset())

    def load(self, changes: Changes | None = None) -> Loaded:
        """The settings with ``changes`` over them. Raises SettingsError with all faults, those of reading included."""
        return read_layers(self.base, changes, self.faults)

    def checked_base(self) -> Base:
        """The layers below the changes. Raises SettingsError with the faults of reading."""
        if self.faults:
            raise SettingsError(self.faults)
        return self.base


def read_config(named: str | None, environment: Mapping[str, str], host: str) -> ConfigRead:
    """Read everything below the changes made over MQTT.

    ``named`` is ``--config``, else EDGE_SERVICE_CONFIG, else ``./config.yaml`` if it exists; ``host`` is the host name,
    from which the node gets its default id. Never raises for what a person can write wrong: see ``faults``.
    """
    wanted = named or environment.get(FILE_VARIABLE)
    path = FilePath(wanted or DEFAULT_FILE)
    exists = bool(wanted) or _stands(path)
    secrets = _Secrets(path.parent / SECRETS_FILE)
    yaml = _read_file(path, Resolver(secrets.value, _variable(environment))) if exists else YamlTree()
    readers = Readers(_read_text, lambda text: read_flow(text, environment))
    layer, faults = environment_layer(environment, yaml.tree, readers)
    zone, zone_warnings = _default_zone(environment)
    defaults = Layer({"node": id_from_host(host), "timezone": zone})
    base = Base(defaults, Layer(yaml.tree, yaml.places), layer)
    return ConfigRead(
        base,
        (*yaml.faults, *faults, *certificate_faults(base, environment)),
        (*secrets.warnings(), *zone_warnings),
        path if exists else None,
        frozenset(secrets.values()),
    )


def read_flow(text: str, environment: Mapping[str, str]) -> object:
    """A tree of Text from YAML or JSON flow text. Raises ValueError when it is neither."""
    refused = Resolver(lambda _name: (None, "!secret stands in the file only"), _variable(environment))
    read = read_yaml(f"x: {text}" if "\n" not in text else f"x:\n{text}", "", refused)
    if read.faults:
        raise ValueError(read.faults[0].message)
    return read.tree.get("x")


class _Secrets:
    """``secrets.yaml``: names and texts, read when the first is asked for."""

    def __init__(self, path: FilePath) -> None:
        self._path = path
        self._read: YamlTree | None = None

    def value(self, name: str) -> tuple[str | None, str]:
        """The secret and "", or None and what is wrong."""
        read = self._tree()
        if read.faults:
            return None, f"{SECRETS_FILE} beside the file cannot be used ({read.faults[0].line()})"
        if name not in read.tree:
            near = difflib.get_close_matches(name, read.tree, n=1)
            hint = f', the nearest is "{near[0]}"' if near else ""
            return None, f"the secret {name} is not in {SECRETS_FILE} beside the file{hint}"
        found = read.tree[name]
        if isinstance(found, Text):
            return found, ""
        kind = (
            "has no value" if found is None else f"is a {'list' if isinstance(found, list) else 'mapping'} and no text"
        )
        return None, f"the secret {name} {kind} ({read.places[name,]})"

    def values(self) -> list[str]:
        """All texts that were read, for the log's mask."""
        return [str(value) for value in self._read.tree.values() if isinstance(value, Text)] if self._read else []

    def warnings(self) -> list[Fault]:
        """A warning when others than the owner may read the secrets."""
        if self._read is None or self._read.faults or not self._path.stat().st_mode & stat.S_IROTH:
            return []
        message = "everybody on this machine can read the secrets"
        return [Fault("", "not_allowed", message, f"chmod 600 {SECRETS_FILE}", place=str(self._path))]

    def _tree(self) -> YamlTree:
        if self._read is None:
            no = Resolver(
                lambda _name: (None, "a secret cannot be a secret of its own"), lambda _name: (None, "no !env")
            )
            self._read = _read_file(self._path, no)
        return self._read


def _variable(environment: Mapping[str, str]) -> Resolve:
    def value(name: str) -> tuple[str | None, str]:
        found = environment.get(name)
        return (found, "") if found is not None else (None, f"the environment has no {name}")

    return value


def _stands(path: FilePath) -> bool:
    """Also when it may not be read, or is a link that leads nowhere: then that is told, and not taken for no file."""
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True


def _read_file(path: FilePath, resolver: Resolver) -> YamlTree:
    try:
        text = _read_text(str(path))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        return YamlTree(faults=(Fault("", "required", f"cannot be read ({reason})", place=str(path)),))
    except _NotTextError as error:
        return YamlTree(faults=(Fault("", "bad_format", str(error), place=f"{path}:{error.line}"),))
    return read_yaml(text, str(path), resolver)


def _read_text(path: str) -> str:
    """A small UTF-8 file. Raises OSError, _NotTextError (a ValueError)."""
    with FilePath(path).open("rb") as file:
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise _NotTextError(f"is larger than {_MOST_BYTES} bytes", 1)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _NotTextError("is not UTF-8", line) from None


class _NotTextError(ValueError):
    """A file that is no small UTF-8 text; ``line`` is where that shows."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


def _default_zone(environment: Mapping[str, str]) -> tuple[str, list[Fault]]:
    """The zone of TZ, else UTC; a warning when TZ names none."""
    word = environment.get("TZ", "").removeprefix(":")
    if not word:
        return "UTC", []
    try:
        return ZoneInfo(word).key, []
    except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        warning = Fault("timezone", "not_allowed", "names no time zone of the IANA list; UTC is taken", place="TZ")
        return "UTC", [warning]
