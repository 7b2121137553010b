"""Payloads that a careless or hostile client might send: good commands, bent in all the ways that we know."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SOURCE = "http://127.0.0.1:9/x.jpg"
GOOD: list[tuple[str, Any]] = [
    *((f"cmd/{verb}", {"id": f"{verb}-1"}) for verb in ("start", "stop", "capture", "link", "retry", "announce")),
    ("cmd/unlink", {"id": "u"}),
    ("cmd/capture", {"id": "c", "camera": "porch"}),
    ("cmd/code", "abcdefgh"),
    ("cmd/config", {"id": "k", "if_rev": 3, "dry_run": True, "patch": {"cameras": {"porch": {"interval": 60}}}}),
    ("cmd/config", {"patch": {"log": {"level": "info"}, "cameras": {"porch": {"timeout": "5s", "windows": []}}}}),
    ("cmd/config", {"patch": {"cameras": {"porch": {"source": SOURCE, "auth": {"type": "basic", "username": "u"}}}}}),
    ("cmd/config", {"patch": {"cameras": {"shed": None}, "destination": {"name": "{node}/{camera}/{number:07d}"}}}),
    ("cmd/config", {"patch": {"spool": {"max_bytes": "2GB"}, "upload": {"hours": "01:00-06:00"}, "mqtt": {}}}),
    ("cmd/explain", {"id": "e", "camera": "porch", "from": "2026-11-01", "to": "2026-11-02T00:00:00+01:00"}),
    ("cmd/forget", {"id": "f", "camera": "ghost"}),
    ("set/capture", "ON"),
    ("set/log_level", "info"),
    ("set/folder", "/Timelapse"),
    *((f"cam/porch/cmd/{verb}", {"id": verb}) for verb in ("start", "stop", "capture")),
    ("cam/porch/set/capture", "OFF"),
    ("cam/porch/set/interval", "300"),
    ("cam/porch/set/source", SOURCE),
]
WORDS = [b"null", b"true", b"-1", b"1e999", b"NaN", b'""', b"[]", b"{}", b"\x00", b"\xff", b"\xed\xa0\x80", b"***"]
WORDS += [
    b'{"set":true}',
    b"__class__",
    b"9" * 30,
    b"..",
    b"/",
    b"+",
    b"#",
    b"\\u0000",
    b"\xf0\x9f\x93\xb7",
    b"%s%n",
    b"'",
]
VALUES: list[Any] = [
    None,
    True,
    -1,
    0,
    1e300,
    2**63,
    "",
    "x" * 300,
    "\ud83d",
    [],
    {},
    [[]],
    {"set": True},
    "***",
    "a.b",
]
LEVELS = ["", "+", "cam", "porch", "nobody", "cmd", "set", "x" * 200, "config", "capture", "Ünï", "a b"]


@dataclass(frozen=True)
class Bent:
    """One message; ``topic`` lies below B."""

    topic: str
    payload: bytes
    retain: bool = False


def bent(seed: int) -> Iterator[Bent]:
    """Endless, the same for the same seed."""
    chance = random.Random(seed)  # noqa: S311 -- no secret
    while True:
        topic, good = chance.choice(GOOD)
        if isinstance(good, dict) and chance.random() < 0.5:
            good = _bent_value(chance, json.loads(json.dumps(good)))
        payload = (good if isinstance(good, str) else json.dumps(good)).encode(errors="surrogatepass")
        for _ in range(chance.choice((0, 1, 1, 2, 4))):
            payload = chance.choice(BENDS)(chance, payload)
        if chance.random() < 0.1:
            topic = _bent_topic(chance, topic)
        yield Bent(topic, payload[:70_000], chance.random() < 0.02)


def _bent_value(chance: random.Random, value: Any) -> Any:
    """A value of the tree is another, a member is gone or has another name."""
    if isinstance(value, dict) and value and chance.random() < 0.8:
        name = chance.choice(list(value))
        how = chance.random()
        if how < 0.1:
            del value[name]
        elif how < 0.2:
            value[f"{name}{chance.choice(('', 'x', '__', '.'))}"] = value.pop(name)
        elif how < 0.3:
            value[chance.choice(("id", "camera", "patch", "cameras", "x"))] = chance.choice(VALUES)
        else:
            value[name] = _bent_value(chance, value[name])
        return value
    return chance.choice(VALUES)


def _bent_topic(chance: random.Random, topic: str) -> str:
    levels = topic.split("/")
    levels[chance.randrange(len(levels))] = chance.choice(LEVELS)
    return "/".join(levels).replace("+", "p").replace("#", "h")


def _flip(chance: random.Random, payload: bytes) -> bytes:
    if not payload:
        return payload
    at = chance.randrange(len(payload))
    return payload[:at] + bytes([payload[at] ^ 1 << chance.randrange(8)]) + payload[at + 1 :]


def _cut(chance: random.Random, payload: bytes) -> bytes:
    return payload[: chance.randrange(len(payload) + 1)]


def _insert(chance: random.Random, payload: bytes) -> bytes:
    at = chance.randrange(len(payload) + 1)
    return payload[:at] + chance.choice(WORDS) + payload[at:]


def _double(chance: random.Random, payload: bytes) -> bytes:
    at, to = sorted((chance.randrange(len(payload) + 1), chance.randrange(len(payload) + 1)))
    return payload[:to] + payload[at:to] * chance.choice((1, 2, 50)) + payload[to:]


def _nest(chance: random.Random, payload: bytes) -> bytes:
    depth = chance.choice((1, 30, 3000))
    return b'{"patch":' * depth + payload + b"}" * depth if chance.random() < 0.5 else b"[" * depth + payload


def _swap(chance: random.Random, payload: bytes) -> bytes:
    half = chance.randrange(len(payload) + 1)
    return payload[half:] + payload[:half]


BENDS: list[Callable[[random.Random, bytes], bytes]] = [_flip, _flip, _cut, _insert, _insert, _double, _nest, _swap]
