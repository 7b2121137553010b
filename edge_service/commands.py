"""From an MQTT message to a command, or to the reason why it is none. Pure; whatever comes in, nothing is raised.

Control asks the memory for ``id`` and ``digest`` first (repeat, id_reused) and looks at the rest after: both a
:class:`Command` and a :class:`Refusal` carry them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from edge_service import arguments, payloads
from edge_service.arguments import LONGEST_SHOWN, Faults, nearest
from edge_service.errors import EdgeServiceError, Fault
from edge_service.payloads import MAX_BYTES, PayloadError
from edge_service.topics import Kind
from edge_service.url_secrets import HIDDEN

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping

    from edge_service.arguments import Arguments
    from edge_service.messages import Inbound
    from edge_service.topics import Address, Topics

LONGEST_ID: Final = 128
_LONGEST_CORRELATION: Final = 4096

_Reader = tuple[tuple[str, ...], "Callable[[Mapping[str, object], Faults], Arguments]"]

_NODE_VERBS: Final[Mapping[str, _Reader]] = {
    "start": ((), arguments.nothing),
    "stop": ((), arguments.nothing),
    "capture": (("camera",), arguments.capture),
    "config": (("if_rev", "dry_run", "patch"), arguments.config),
    "link": ((), arguments.nothing),
    "code": ((), arguments.nothing),
    "unlink": ((), arguments.nothing),
    "retry": ((), arguments.nothing),
    "announce": ((), arguments.nothing),
    "explain": (("camera", "from", "to"), arguments.explain),
    "reset": ((), arguments.nothing),
    "forget": (("camera",), arguments.forget),
}
_CAMERA_VERBS: Final[Mapping[str, _Reader]] = {
    "start": ((), arguments.nothing),
    "stop": ((), arguments.nothing),
    "capture": ((), arguments.nothing),
}
_NODE_KEYS: Final[Mapping[str, Callable[[str, Faults], Arguments]]] = {
    "capture": arguments.switch,
    "log_level": arguments.value("log_level"),
    "folder": arguments.value("folder"),
}
_CAMERA_KEYS: Final[Mapping[str, Callable[[str, Faults], Arguments]]] = {
    "capture": arguments.switch,
    "interval": arguments.number("interval"),
    "source": arguments.value("source"),
}
NODE_VERBS: Final = tuple(_NODE_VERBS)
CAMERA_VERBS: Final = tuple(_CAMERA_VERBS)
NODE_KEYS: Final = tuple(_NODE_KEYS)
CAMERA_KEYS: Final = tuple(_CAMERA_KEYS)

Id = str | int


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked, as far as it could be read: all that an answer needs.

    ``verb`` is ``set`` for set topics (``key`` then names the value). ``camera`` is the one of the topic, else the one
    asked for in the payload. ``response`` names the topic below B/response. ``reply_to`` is already checked.
    ``digest`` (of topic and payload) is "" without an id.
    """

    verb: str
    response: str
    camera: str | None = None
    key: str | None = None
    id: Id | None = None
    digest: str = ""
    reply_to: str | None = None
    correlation: bytes | None = None

    @property
    def memory_id(self) -> str | None:
        """The id as the memory keeps it; None: nothing to remember."""
        return None if self.id is None else str(self.id)


@dataclass(frozen=True, slots=True)
class Command(Question):
    """A well-formed command. ``addressed`` is the camera of the topic (None: the node's own topics)."""

    kind: Kind = Kind.CMD
    arguments: Arguments = field(default_factory=arguments.Nothing)
    addressed: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal(Question):
    """Not a command: answered with status error. ``clear`` names a retained topic to be emptied."""

    code: str = "bad_request"
    message: str = ""
    errors: tuple[Fault, ...] = ()
    clear: str | None = None

    @property
    def to_remember(self) -> bool:
        """False when the same id may come again, better sent."""
        return self.code not in ("retained", "too_large") and self.id is not None


class _WrongError(EdgeServiceError):
    """The verdict on its way up to :func:`parse`."""

    def __init__(self, code: str, message: str, errors: tuple[Fault, ...] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.errors = errors


def parse(inbound: Inbound, topics: Topics, cameras: Container[str]) -> Command | Refusal | None:
    """The command in a message; None when it is none of ours or empty (an empty payload is never a command).

    ``cameras`` are the configured ids. Birth and discovery topics are not for this function (None).
    """
    address = topics.parse(inbound.topic)
    if address is None or address.kind not in (Kind.CMD, Kind.SET) or not inbound.payload:
        return None
    facts = _facts(inbound, address, topics)
    try:
        text, members = _read(inbound, address, facts)
        if not inbound.retain:
            return _command(address, text, members, facts, cameras)
    except _WrongError as wrong:
        if not inbound.retain:
            return Refusal(**facts, code=wrong.code, message=wrong.message, errors=wrong.errors)
    # whatever else may be wrong with it: as long as it is retained it comes again
    message = "the message has the retain flag and was not obeyed: publish it without"
    return Refusal(**facts, code="retained", message=message, clear=inbound.topic)


def _command(
    address: Address, text: str, members: Mapping[str, object], facts: dict[str, Any], cameras: Container[str]
) -> Command:
    """Judge a payload that could be read. Raises _WrongError."""
    _check_address(address, cameras)
    asked = _arguments(address, text, members)
    camera = getattr(asked, "camera", None)
    if camera is not None:
        facts["camera"] = camera
        if address.name == "capture":
            _check_camera(camera, cameras)
    return Command(**facts, kind=address.kind, arguments=asked, addressed=address.camera)


def _facts(inbound: Inbound, address: Address, topics: Topics) -> dict[str, Any]:
    """The fields of the question that the message around the payload tells."""
    name, setting = address.name[:LONGEST_SHOWN], address.kind is Kind.SET
    verbs = _NODE_VERBS if address.camera is None else _CAMERA_VERBS
    facts: dict[str, Any] = {
        "verb": Kind.SET.value if setting else name,
        "response": Kind.SET.value if setting else name if address.name in verbs else "error",
        "camera": None if address.camera is None else address.camera[:LONGEST_SHOWN],
        "key": name if setting else None,
    }
    if len(inbound.correlation or b"") <= _LONGEST_CORRELATION and topics.may_reply_to(inbound.response_topic):
        facts["reply_to"], facts["correlation"] = inbound.response_topic, inbound.correlation
    return facts


def _is_raw(address: Address) -> bool:
    return address.kind is Kind.SET or (address.name == "code" and address.camera is None)


def _read(inbound: Inbound, address: Address, facts: dict[str, Any]) -> tuple[str, dict[str, object]]:
    """Text and members of the payload; its id goes into ``facts``. Raises _WrongError."""
    if len(inbound.payload) >= MAX_BYTES:
        message = f"the payload has {len(inbound.payload)} bytes, fewer than {MAX_BYTES} are allowed"
        raise _WrongError("too_large", message)
    try:
        text = payloads.text_of(inbound.payload)
        members = None if _is_raw(address) else payloads.object_of(text)
    except PayloadError as error:
        fault = Fault("", "bad_format", error.message, "a JSON object or plain text")
        raise _WrongError("bad_request", f"the payload {error.message}", (fault,)) from error
    if members is None:
        return text, {}
    facts["id"] = found = _id(members.pop("id", None))
    if found is not None:
        digest = hashlib.sha256(inbound.topic.encode(errors="replace"))
        digest.update(b"\0")
        digest.update(inbound.payload)
        facts["digest"] = digest.hexdigest()
    return text, members


def _id(value: object) -> Id | None:
    allowed = f"text of 1 to {LONGEST_ID} characters, or a whole number"
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if not isinstance(value, str):
        raise _WrongError("bad_request", "the id is no text", (Fault("id", "wrong_type", "is no text", allowed),))
    if not 1 <= len(value) <= LONGEST_ID or not value.isprintable():
        raise _WrongError("bad_request", "the id is unusable", (Fault("id", "bad_format", "is unusable", allowed),))
    return value


def _check_address(address: Address, cameras: Container[str]) -> None:
    node = address.camera is None
    if address.kind is Kind.CMD:
        known, code, word = (NODE_VERBS if node else CAMERA_VERBS), "unknown_verb", "verb"
    else:
        known, code, word = (NODE_KEYS if node else CAMERA_KEYS), "unknown_key", "key"
    if address.name not in known:
        name = address.name[:LONGEST_SHOWN]
        message = f'there is no {word} "{name}"{nearest(name, known)}'
        raise _WrongError(code, message, (Fault(word, "not_allowed", message, " ".join(known), name),))
    _check_camera(address.camera, cameras)


def _check_camera(camera: str | None, cameras: Container[str]) -> None:
    if camera is None or camera in cameras:
        return
    name = camera[:LONGEST_SHOWN]
    message = f'there is no camera "{name}"'
    allowed = " ".join(cameras) if isinstance(cameras, list | tuple | dict | set | frozenset) else "a configured camera"
    raise _WrongError("unknown_camera", message, (Fault("camera", "not_allowed", message, allowed[:1024], name),))


def _arguments(address: Address, text: str, members: Mapping[str, object]) -> Arguments:
    faults = Faults()
    node = address.camera is None
    if address.kind is Kind.SET:
        found: Arguments = (_NODE_KEYS if node else _CAMERA_KEYS)[address.name](text, faults)
        code = "invalid"
    elif _is_raw(address):
        found, code = arguments.code(text, faults), "bad_request"
    else:
        allowed, read = (_NODE_VERBS if node else _CAMERA_VERBS)[address.name]
        unknown = [key for key in members if key not in allowed]
        for key in unknown[:20]:
            known = ("id", *allowed)
            message = f'there is no member "{key[:LONGEST_SHOWN]}"{nearest(key, known)}'
            faults.add(key[:LONGEST_SHOWN], "unknown_key", message, " ".join(known), HIDDEN)
        found, code = read(members, faults), "unknown_key" if unknown else "bad_request"
    if faults.found:
        raise _WrongError(code, _sentence(faults.found), tuple(faults.found))
    return found


def _sentence(faults: list[Fault]) -> str:
    first = faults[0]
    head = first.message if first.code == "unknown_key" else f"{first.path}: {first.message}"
    return head if len(faults) == 1 else f"{head} (and {len(faults) - 1} more)"
