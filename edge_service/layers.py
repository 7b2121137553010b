"""The layers of settings: default < file < environment < changes over MQTT, and where each key comes from. Pure.

All faults come at once, each with the place where its key stands.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from edge_service.addresses import address_refused, host_as_address
from edge_service.changes import Changes, origin_of, strip_credentials
from edge_service.errors import Fault, SettingsError
from edge_service.merging import DEFAULT_TYPE, Tree, lay_over, part, stands_at, without_nulls, without_value
from edge_service.setting_faults import judge, value_at
from edge_service.setting_keys import SOURCE, Path, dotted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge_service.settings import Settings


@dataclass(frozen=True, slots=True)
class Layer:
    """One source of settings. ``places`` says where a path stands (``config.yaml:3``, a variable's name)."""

    tree: Tree = field(default_factory=dict, repr=False)
    places: Mapping[Path, str] = field(default_factory=dict, repr=False)

    def keeping(self, old: Layer, keys: Sequence[str]) -> Layer:
        """This one, but with what ``old`` says of some top keys."""
        tree = {key: value for key, value in self.tree.items() if key not in keys}
        places = {path: place for path, place in self.places.items() if path[0] not in keys}
        return Layer(
            {**tree, **{key: value for key, value in old.tree.items() if key in keys}},
            {**places, **{path: place for path, place in old.places.items() if path[0] in keys}},
        )


@dataclass(frozen=True, slots=True)
class Base:
    """What lies under the changes: defaults that depend on the machine (node, timezone), file and environment."""

    defaults: Layer = field(default_factory=Layer)
    file: Layer = field(default_factory=Layer)
    environment: Layer = field(default_factory=Layer)

    def tree(self) -> Tree:
        """The three laid over each other."""
        merged: Tree = {"destination": {"type": DEFAULT_TYPE}}
        for layer in (self.defaults, self.file, self.environment):
            merged = lay_over(merged, _stated(layer.tree))
        return merged

    def keeping(self, old: Base, keys: Sequence[str]) -> Base:
        """This one, but with what ``old`` says of some top keys."""
        return Base(
            self.defaults.keeping(old.defaults, keys),
            self.file.keeping(old.file, keys),
            self.environment.keeping(old.environment, keys),
        )

    def place(self, path: Path) -> str:
        """Where the value in force of ``path`` stands; for what stands nowhere, what it would stand beside."""
        layers = (self.environment, self.file, self.defaults)
        for length in range(len(path), 0, -1):
            head = path[:length]
            for layer in layers:
                if head in layer.places:
                    return layer.places[head]
            # A variable names one key and none of those above it: EDGE_SERVICE__CAMERAS__PORCH__INTERVAL alone
            # makes cameras.porch.
            beside = next((layer.places[at] for layer in layers for at in layer.places if at[:length] == head), None)
            if beside is not None:
                return beside
        return ""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings in force and what they are made of.

    ``changes`` is what is left of the changes when members that fit no more were dropped; ``warnings`` say which,
    ``overridden`` which keys of file and environment a change overrides, ``trusted_hosts`` (canonical) are named by
    file or environment: a camera there may be at a loopback or link-local address.
    """

    settings: Settings
    base: Base
    changes: Changes
    warnings: tuple[Fault, ...] = ()
    overridden: tuple[Fault, ...] = ()
    trusted_hosts: frozenset[str] = frozenset()

    def refuses(self, camera: str, address: str) -> bool:
        """True when ``camera`` must not be fetched from ``address`` (an IP address in text): it is inside, and neither
        file nor environment names the host. A camera that is no longer configured is refused everything inside.
        """
        found = self.settings.cameras.get(camera)
        return address_refused(address) and (found is None or _host_of_source(found.source) not in self.trusted_hosts)


def read_layers(base: Base, changes: Changes | None = None, faults: Sequence[Fault] = ()) -> Loaded:
    """The settings of all layers. ``faults`` were found while the layers were read and come with the others.

    Members of ``changes`` that fit no more (their camera is gone, another key of the file makes them wrong) are dropped
    with a warning: a change must not keep the node from starting. Raises SettingsError with all faults of the rest.
    """
    changes, warnings = _of_living_cameras(base, changes or Changes())
    while True:
        merged, kept = merge_changes(base, changes)
        settings, found = judge(merged)
        blamed = {said: fault for path, fault in found.items() if (said := stands_at(kept, path))}
        if settings is not None and not faults:
            break
        if faults or not blamed:
            known = {fault.path for fault in faults}
            rest = [_placed(base, path, found[path]) for path in found if dotted(path) not in known]
            raise SettingsError(tuple(_by_place([*faults, *rest])))
        for path, fault in blamed.items():
            warnings.append(replace(fault, message=f"{fault.message}; the change is dropped", got=None))
            changes = replace(changes, tree=without_value(changes.tree, path))
    return Loaded(
        settings, base, changes, tuple(warnings), tuple(overridden_keys(base, changes)), named_hosts(base.tree())
    )


def merge_changes(base: Base, changes: Changes) -> tuple[Tree, Tree]:
    """The tree with the changes over it, credentials left out that are for another origin; and the changes used."""
    below, above = base.tree(), changes.tree
    for camera, change in part(above, "cameras").items():
        if not isinstance(change, dict):
            continue
        under = part(below, "cameras", camera)
        target = origin_of({**under, **change})
        if under and target != origin_of(under):
            below, _gone = strip_credentials(below, camera)
        if changes.origins.get(camera, target) != target:
            above, _gone = strip_credentials(above, camera)
    return lay_over(below, above), above


def overridden_keys(base: Base, changes: Changes) -> list[Fault]:
    """A warning for each key of file or environment that a change overrides, at its place, in order of the keys."""
    below = base.tree()
    found: list[Path] = []

    def walk(above: object, under: object, path: Path) -> None:
        if isinstance(above, dict) and isinstance(under, dict):
            for name, value in above.items():
                if name in under:
                    walk(value, under[name], (*path, name))
        elif above != under:
            found.append(path)

    walk(changes.tree, below, ())
    return [
        Fault(dotted(path), "not_allowed", "overridden by MQTT change", place=base.place(path))
        for path in sorted(found, key=dotted)
        if any(value_at(layer.tree, path) is not None for layer in (base.file, base.environment))
    ]


def named_hosts(tree: Tree) -> frozenset[str]:
    """The canonical hosts of all cameras of ``tree``."""
    return frozenset(host for camera in part(tree, "cameras").values() if (host := host_of(camera)))


def host_of(camera: object) -> str | None:
    """The canonical host of a camera's source: an address in its usual form, a name in small letters."""
    place = origin_of(camera) if isinstance(camera, dict) else None
    if place is None:
        return None
    return canonical_host(place.partition("://")[2].rpartition(":")[0])


@lru_cache(maxsize=512)  # asked before each request
def _host_of_source(source: str) -> str | None:
    return host_of({SOURCE: source})


def canonical_host(host: str) -> str:
    """One spelling for each host: ``0x7f.1`` is ``127.0.0.1``, ``Cam.Local.`` is ``cam.local``."""
    return str(host_as_address(host) or host.strip("[]").removesuffix(".").lower())


def _stated(tree: Tree) -> Tree:
    """The layer without keys that have no value; a camera without keys is still named."""
    stated = without_nulls(tree)
    bare: Tree = {camera: {} for camera, value in part(tree, "cameras").items() if value is None}
    return {**stated, "cameras": {**part(stated, "cameras"), **bare}} if bare else stated


def _of_living_cameras(base: Base, changes: Changes) -> tuple[Changes, list[Fault]]:
    """The changes without members of cameras that file and environment no longer have."""
    known = part(base.tree(), "cameras")
    cameras = part(changes.tree, "cameras")
    dead = [camera for camera in cameras if camera not in known and camera not in changes.made]
    if not dead:
        return changes, []
    left = {camera: value for camera, value in cameras.items() if camera not in dead}
    tree = {name: value for name, value in changes.tree.items() if name != "cameras"}
    warnings = [
        Fault(f"cameras.{camera}", "unknown_key", "the camera is gone; the changes made to it over MQTT are dropped")
        for camera in dead
        if cameras[camera] is not None
    ]
    return replace(changes, tree={**tree, "cameras": left} if left else tree), warnings


def _placed(base: Base, path: Path, fault: Fault) -> Fault:
    return replace(fault, place=fault.place or base.place(path) or base.place(fault.shown_by))


def _by_place(faults: list[Fault]) -> list[Fault]:
    """By file and line, so that a person fixes them from top to bottom."""

    def order(fault: Fault) -> tuple[str, int, str]:
        where, _colon, line = fault.place.rpartition(":")
        return (where, int(line), fault.path) if line.isdigit() else (fault.place, 0, fault.path)

    return sorted(faults, key=order)
