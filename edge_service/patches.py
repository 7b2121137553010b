"""``cmd/config``: a JSON Merge Patch (RFC 7396) of the settings as a pure transaction, all or nothing.

The patch is merged into the accumulated changes: null takes what file and environment say away too, so that the default
is in force; a camera it removes. What the patch leaves as it is does not become a change, so that a part of the
published config sent back pins nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

from edge_service.addresses import host_refused
from edge_service.changes import CREDENTIALS, Changes, has_credentials, origin_of
from edge_service.errors import Fault, SettingsError
from edge_service.layers import Base, Loaded, host_of, merge_changes, named_hosts, overridden_keys
from edge_service.merging import (
    Tree,
    accumulate,
    leaves,
    part,
    stands_at,
    with_value,
    without_empty_parts,
    without_value,
)
from edge_service.redaction import SET, full_config
from edge_service.setting_faults import MOST_FAULTS, judge, shown, value_at
from edge_service.setting_keys import SOURCE, Key, Path, all_keys, dotted, find, nearest
from edge_service.url_secrets import HIDDEN, drop_hidden, has_hidden, restore_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from edge_service.settings import Settings

FILE_ONLY: Final = ("node", "mqtt", "web", "data_dir", "timezone")
_NOTHING: Final = object()
_FILE_ONLY_TEXT: Final = "belongs to the file and cannot be changed over MQTT"


@dataclass(frozen=True, slots=True)
class PatchResult:
    """What a patch comes to. ``loaded`` is the new state (its ``changes`` are to be stored), ``changed`` the dotted
    paths whose value is another now, ``dropped`` the credentials that were lost because their source moved.
    """

    loaded: Loaded
    changed: tuple[str, ...]
    dropped: tuple[str, ...]

    @property
    def settings(self) -> Settings:
        """The settings in force after it."""
        return self.loaded.settings


def apply_patch(loaded: Loaded, patch: object) -> PatchResult:
    """The settings that ``patch`` (parsed JSON) makes of those in force. Raises SettingsError with all faults."""
    if not isinstance(patch, dict):
        raise SettingsError((Fault("patch", "wrong_type", "is no object", "a JSON Merge Patch of the settings"),))
    old = full_config(loaded.settings)
    forbidden = list(islice(_forbidden(loaded.settings, patch), MOST_FAULTS))
    wanted = _resolved({name: value for name, value in patch.items() if name not in FILE_ONLY}, loaded.settings)
    changes = _accumulated(loaded, patch, wanted)
    settings, found = judge(merge_changes(loaded.base, changes)[0])
    faults = [*forbidden, *found.values(), *_refused_hosts(loaded.base, changes)]
    if faults or settings is None:
        raise SettingsError(tuple(dict.fromkeys(faults)))
    changes = _without_echo(loaded, wanted, changes, settings)
    new = full_config(settings)
    after = Loaded(
        settings,
        loaded.base,
        changes,
        overridden=tuple(overridden_keys(loaded.base, changes)),
        trusted_hosts=loaded.trusted_hosts,
    )
    return PatchResult(after, tuple(changed_paths(old, new)), tuple(_dropped(old, new, patch)))


def changed_paths(old: object, new: object, path: Path = ()) -> Iterator[str]:
    """Dotted paths where two full trees differ: values and lists whole, a part that came or went as one."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in dict.fromkeys((*old, *new)):
            yield from changed_paths(old.get(name, _NOTHING), new.get(name, _NOTHING), (*path, name))
    elif old != new or isinstance(old, bool) is not isinstance(new, bool):
        yield dotted(path)


# --- what the patch says -----------------------------------------------------------------------------------------


def _resolved(patch: Mapping[str, object], settings: Settings) -> Tree:
    """The patch without what means "as it is now", and with real values for ``***`` in sources."""
    current = full_config(settings)
    resolved = _without_marks(patch, all_keys())
    for camera, change in part(resolved, "cameras").items():
        source = change.get(SOURCE) if isinstance(change, dict) else None
        if not isinstance(change, dict) or not isinstance(source, str) or not has_hidden(source):
            continue
        now = part(current, "cameras", camera)
        same = origin_of(change) is not None and origin_of(change) == origin_of(now)
        change[SOURCE] = restore_url(source, str(now[SOURCE])) if same else drop_hidden(source)
    return resolved


def _without_marks(patch: Mapping[str, object], key: Key) -> Tree:
    """A copy without secrets that are ``{"set": true}`` or ``***``; a part that held nothing else goes with them."""
    kept: Tree = {}
    for name, value in patch.items():
        below = key.below(name)
        if below and below.secret and value in (HIDDEN, {SET: True}, {}):
            continue
        if isinstance(value, dict) and below:
            inner = _without_marks(value, below)
            if inner or not value:
                kept[name] = inner
        else:
            kept[name] = value
    return kept


# --- what the patch may not change --------------------------------------------------------------------------------


def _forbidden(settings: Settings, patch: Mapping[str, object]) -> Iterator[Fault]:
    """A fault for each key of the file alone that the patch would change."""
    current = full_config(settings)
    asked = {name: patch[name] for name in FILE_ONLY if name in patch}
    for path, value in leaves(_without_marks(asked, all_keys())):
        if find(path) is None:
            yield Fault(dotted(path), "unknown_key", f"is no known key, the nearest is {nearest(path)}")
        elif not _equal(current, path, value):
            yield Fault(dotted(path), "forbidden", _FILE_ONLY_TEXT, "the value in force", shown(path, value))


def _equal(current: Tree, path: Path, value: object) -> bool:
    """True when ``value`` says what is in force, in whatever form (``mqtt`` and ``web`` may be empty objects)."""
    now = value_at(current, path)
    if value is None or value == {}:
        return now is None if value is None else isinstance(now, dict)
    settings, _faults = judge(with_value(current, path, value))
    return settings is not None and full_config(settings) == current


def _refused_hosts(base: Base, changes: Changes) -> Iterator[Fault]:
    """A fault for each camera that a change points to a place inside, which the file does not name."""
    trusted = named_hosts(base.tree())
    for camera, change in part(changes.tree, "cameras").items():
        host = host_of(change)
        if host and host not in trusted and host_refused(host):
            yield Fault(
                f"cameras.{camera}.{SOURCE}",
                "forbidden",
                "is a loopback, link-local or metadata address",
                "an address of the network, or a host that the file names",
            )


# --- what becomes of it -------------------------------------------------------------------------------------------


def _accumulated(loaded: Loaded, patch: Mapping[str, object], wanted: Tree) -> Changes:
    """The changes with ``wanted`` merged into them, credentials kept only where their source stayed."""
    old, below = loaded.changes, loaded.base.tree()
    current = full_config(loaded.settings)
    tree = _fitting_types(accumulate(old.tree, wanted, below), below, wanted)
    made, origins = set(old.made), dict(old.origins)
    for camera, change in part(wanted, "cameras").items():
        under = part(below, "cameras", camera)
        belonged = origins.pop(camera, None)
        if not isinstance(change, dict):
            made.discard(camera)
            continue
        if not under:
            made.add(camera)
        kept = part(tree, "cameras", camera)
        target = origin_of({**under, **kept})
        now = part(current, "cameras", camera)
        moved = bool(now) and origin_of(now) != target
        if moved or belonged not in (None, target):
            given = part(patch, "cameras", camera)
            kept = _with_new_credentials(kept, change, given, moved=moved)
            tree = with_value(tree, ("cameras", camera), kept)
        if target and has_credentials(kept):
            origins[camera] = target
    return Changes(tree, frozenset(made), origins)


def _with_new_credentials(kept: Tree, change: Tree, given: Tree, *, moved: bool) -> Tree:
    """A camera's part of the changes with no credentials but those of this patch.

    Where the source moved, auth whose secret is "as it is now" is none: that secret stays with the old place.
    """
    new = {name: value for name, value in kept.items() if name not in CREDENTIALS}
    for name in CREDENTIALS:
        value = change.get(name)
        if isinstance(value, dict) and not (moved and name == "auth" and _marked(given.get(name))):
            new[name] = value
    return new


def _marked(auth: object) -> bool:
    return isinstance(auth, dict) and any(value in (HIDDEN, {SET: True}, {}) for value in auth.values())


def _fitting_types(tree: Tree, below: Tree, wanted: Tree) -> Tree:
    """The changes without members that the type in force does not know, unless this patch names them."""
    parts: list[Path] = [("destination",), *(("cameras", camera, "auth") for camera in part(tree, "cameras"))]
    for path in parts:
        names = [str(name) for name in path]
        word = part(tree, *names).get("type") or part(below, *names).get("type")
        key = find(path)
        if key is None or not isinstance(word, str) or word not in key.variants:
            continue
        for name in part(tree, *names):
            if name not in key.variants[word] and name not in part(wanted, *names):
                tree = without_value(tree, (*path, name))
    return tree


def _without_echo(loaded: Loaded, wanted: Tree, changes: Changes, settings: Settings) -> Changes:
    """The changes without what only repeats the value in force, so that the file keeps its say there."""
    old, new = full_config(loaded.settings), full_config(settings)
    tree = changes.tree
    for path, _value in leaves(wanted):
        if value_at(old, path) != value_at(new, path):
            continue
        said = stands_at(loaded.changes.tree, path)
        if said is None:
            tree = without_value(tree, path)
        elif said == path:
            tree = with_value(tree, path, value_at(loaded.changes.tree, path))
    origins = {c: o for c, o in changes.origins.items() if has_credentials(part(tree, "cameras", c))}
    quiet = Changes(without_empty_parts(tree), changes.made, origins)
    same, _faults = judge(merge_changes(loaded.base, quiet)[0])
    return quiet if same is not None and full_config(same) == new else changes


def _dropped(old: Tree, new: Tree, patch: Mapping[str, object]) -> Iterator[str]:
    """Dotted paths of the credentials that cameras lost because their source moved elsewhere."""
    for camera, now in part(new, "cameras").items():
        before = part(old, "cameras", camera)
        if not before or not isinstance(now, dict) or origin_of(before) == origin_of(now):
            continue
        given = part(patch, "cameras", camera)
        if before["auth"] and not now["auth"] and given.get("auth", HIDDEN) is not None:
            yield f"cameras.{camera}.auth"
        for name in part(before, "headers"):
            if name not in part(now, "headers"):
                yield f"cameras.{camera}.headers.{name}"
        if isinstance(given.get(SOURCE), str) and has_hidden(str(given[SOURCE])):
            yield f"cameras.{camera}.{SOURCE}"
