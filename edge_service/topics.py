"""The topic tree of one node: every name we publish to, listen to and must clear one day. Pure.

``B`` = ``<base_topic>/<node>``, ``C`` = ``B/cam/<camera>``. Nothing else in the program builds or takes apart a topic.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_NO_SLUG = re.compile(r"[^a-zA-Z0-9_-]")
_UNFIT = re.compile(r"[+#\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_LONGEST_REPLY_TOPIC: Final = 1024
_NODE_RETAINED: Final = ("status", "info", "state", "link", "config")
_CAMERA_RETAINED: Final = ("status", "state", "frame")


class Kind(StrEnum):
    """What an inbound topic is for."""

    CMD = "cmd"
    """a verb: a JSON object, or any other text"""
    SET = "set"
    """a key: the new value as raw text"""
    BIRTH = "birth"
    """Home Assistant came or went"""
    DISCOVERY = "discovery"
    """one of our own discovery topics; empty when somebody removed the device in Home Assistant"""


@dataclass(frozen=True, slots=True)
class Address:
    """An inbound topic taken apart; ``name`` is the verb or key, ``camera`` None for the node's own."""

    kind: Kind
    name: str = ""
    camera: str | None = None


@dataclass(frozen=True, slots=True)
class Topics:
    """All topics of one node. Values only; two equal ones name the same tree."""

    base_topic: str
    node: str
    discovery_prefix: str = "homeassistant"
    birth_topic: str = "homeassistant/status"

    @property
    def base(self) -> str:
        """``B``."""
        return f"{self.base_topic}/{self.node}"

    @property
    def status(self) -> str:
        """``online`` or ``offline`` of the service; also the last will."""
        return f"{self.base}/status"

    @property
    def info(self) -> str:
        """What runs here."""
        return f"{self.base}/info"

    @property
    def state(self) -> str:
        """What it does now."""
        return f"{self.base}/state"

    @property
    def link(self) -> str:
        """The Dropbox sign-in."""
        return f"{self.base}/link"

    @property
    def config(self) -> str:
        """The settings in force."""
        return f"{self.base}/config"

    @property
    def health(self) -> str:
        """Every 60 s, not retained."""
        return f"{self.base}/health"

    def event(self, camera: str | None = None) -> str:
        """Things that happened, not retained."""
        return f"{self.home(camera)}/event"

    def home(self, camera: str | None = None) -> str:
        """``C`` of a camera, ``B`` without one."""
        return self.base if camera is None else f"{self.base}/cam/{camera}"

    def camera_status(self, camera: str) -> str:
        """``online`` or ``offline`` of one camera."""
        return f"{self.home(camera)}/status"

    def camera_state(self, camera: str) -> str:
        """What one camera does now."""
        return f"{self.home(camera)}/state"

    def frame(self, camera: str) -> str:
        """The latest good picture."""
        return f"{self.home(camera)}/frame"

    def cmd(self, verb: str, camera: str | None = None) -> str:
        """Where a command is sent to."""
        return f"{self.home(camera)}/cmd/{verb}"

    def set(self, key: str, camera: str | None = None) -> str:
        """Where one value is set."""
        return f"{self.home(camera)}/set/{key}"

    def response(self, verb: str) -> str:
        """Where answers go; ``set`` and ``error`` besides the verbs."""
        return f"{self.base}/response/{verb}"

    def slug(self, camera: str | None = None) -> str:
        """``<base>__<node>[__<camera>]``: on the discovery topic, as device identifier, in unique ids."""
        tail = "" if camera is None else f"__{camera}"
        return f"{_NO_SLUG.sub('-', self.base_topic)}__{self.node}{tail}"

    @property
    def client_id(self) -> str:
        """Fixed, so that the broker keeps our session, and told apart by base and node."""
        return self.slug()

    def discovery(self, camera: str | None = None) -> str | None:
        """The device discovery topic; None when discovery is switched off."""
        return f"{self.discovery_prefix}/device/{self.slug(camera)}/config" if self.discovery_prefix else None

    def filters(self, cameras: Iterable[str] = ()) -> tuple[str, ...]:
        """What to subscribe to: exact per level, never our own output (but discovery, to see devices removed)."""
        own = (f"{self.base}/cmd/+", f"{self.base}/set/+", f"{self.base}/cam/+/cmd/+", f"{self.base}/cam/+/set/+")
        birth = (self.birth_topic,) if self.birth_topic and not _UNFIT.search(self.birth_topic) else ()
        discovery = tuple(topic for one in (None, *cameras) if (topic := self.discovery(one)))
        return own + birth + discovery

    def parse(self, topic: str) -> Address | None:
        """What an inbound topic means; None when it is none of ours."""
        if topic.startswith(f"{self.base}/"):
            return _address(topic[len(self.base) + 1 :].split("/"))
        if topic == self.birth_topic:
            return Address(Kind.BIRTH)
        node = self.discovery()
        if node is None:
            return None
        if topic == node:
            return Address(Kind.DISCOVERY)
        head, tail = f"{node.removesuffix('/config')}__", "/config"
        if topic.startswith(head) and topic.endswith(tail) and "/" not in topic[len(head) : -len(tail)]:
            return Address(Kind.DISCOVERY, camera=topic[len(head) : -len(tail)])
        return None

    def retained(self, camera: str | None = None) -> tuple[str, ...]:
        """The retained topics of the node or of one camera but its discovery topic, which is cleared before them."""
        names = _NODE_RETAINED if camera is None else _CAMERA_RETAINED
        return tuple(f"{self.home(camera)}/{name}" for name in names)

    def may_reply_to(self, topic: str | None) -> bool:
        """Whether a response topic lies where answers may go; nobody makes us publish anywhere else."""
        if topic is None or len(topic) > _LONGEST_REPLY_TOPIC or _UNFIT.search(topic):
            return False
        heads = (f"{self.base}/response/", f"{self.base}/reply/")
        return topic.startswith(heads) and topic not in heads


def _address(levels: list[str]) -> Address | None:
    match levels:
        case ["cmd", verb]:
            return Address(Kind.CMD, verb)
        case ["set", key]:
            return Address(Kind.SET, key)
        case ["cam", camera, "cmd", verb]:
            return Address(Kind.CMD, verb, camera)
        case ["cam", camera, "set", key]:
            return Address(Kind.SET, key, camera)
        case _:
            return None
