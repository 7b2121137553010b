"""The settings of everything but the cameras: broker, destination, page, spool, upload, ledger. Pure, frozen values."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, Discriminator, model_validator

from edge_service.addresses import host_fault, split_url
from edge_service.daytimes import HOURS_FORM, parse_hours
from edge_service.name_template import DEFAULT_NAME, FORBIDDEN, NAME_FORM, name_fault, path_fault
from edge_service.setting_types import (
    FROZEN,
    FilledText,
    Flag,
    MaybeSecret,
    MaybeText,
    a_choice,
    a_duration,
    a_float,
    a_size,
    an_int,
    duration_schema,
    like,
    read_list,
    read_text,
    refuse,
    size_schema,
    spanning,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_LONGEST_TOPIC: Final = 128
_BROKER_FORM: Final = "mqtt://host:1883, mqtts://, ws://, wss:// or unix:///path; user and password in their own keys"
_BROKER_PATTERN: Final = r"^\s*((mqtts?|wss?)://[^/?#@\s]+([/?#]|\s*$)|unix:(//)?/.)"
_APP_KEY = re.compile(r"[A-Za-z0-9_-]+")
_YEAR: Final = 366 * 86400
_MOST_BYTES: Final = 10**15


def _read_broker(value: object) -> str:
    text = read_text(value).strip()
    if text.startswith("unix:"):
        path = text.removeprefix("unix:").removeprefix("//")
        if not path.startswith("/") or path == "/":
            refuse("bad_format", "names no socket", "unix:///path/to/socket")
        return text
    try:
        parts = split_url(text, ("mqtt", "mqtts", "ws", "wss"))
    except ValueError as error:
        refuse("bad_format", str(error), _BROKER_FORM)
    if parts.scheme in ("mqtt", "mqtts") and (parts.path.strip("/") or parts.query or parts.fragment):
        refuse("bad_format", "has a path, which a broker has not", _BROKER_FORM)
    return text


def _a_topic(*, empty: bool) -> Callable[[object], object]:
    allowed = "levels joined by /, no + # $" + (', or ""' if empty else "")

    def read(value: object) -> object:
        text = read_text(value).strip()
        if not text and empty:
            return ""
        if len(text) > _LONGEST_TOPIC:
            refuse("too_big", "is too long", f"at most {_LONGEST_TOPIC} characters")
        if not all(text.split("/")) or set(text) & {"+", "#"} or text.startswith("$"):
            refuse("bad_format", "is no topic", allowed)
        return text

    return read


def _read_public_url(value: object) -> str | None:
    if value is None or value == "":
        return None
    text = read_text(value).strip().rstrip("/")
    try:
        parts = split_url(text, ("http", "https"))
    except ValueError as error:
        refuse("bad_format", str(error), "an address like https://garden.example.org")
    if parts.query or parts.fragment:
        refuse("bad_format", "has a ? or #", "an address like https://garden.example.org")
    return text


def _read_host(value: object) -> str:
    text = read_text(value).strip().lower()
    if fault := host_fault(text.removeprefix("[").removesuffix("]")):
        refuse("bad_format", fault, "a host name or an IP address")
    return text.removeprefix("[").removesuffix("]")


def _read_folder(value: object) -> str:
    text = read_text(value).strip().strip("/")
    if text and (fault := path_fault(text)):
        refuse("bad_format", fault, f"a folder like /Timelapse, without {' '.join(FORBIDDEN)}")
    return f"/{text}"


def _read_name(value: object) -> str:
    text = read_text(value)
    if fault := name_fault(text):
        refuse("bad_format", fault, NAME_FORM)
    return text


def _read_hours(value: object) -> str:
    text = read_text(value).strip() if value is not None else ""
    try:
        parse_hours(text)
    except ValueError as error:
        refuse("bad_format", str(error).partition(", allowed")[0], HOURS_FORM)
    return text


def _read_app_key(value: object) -> str | None:
    if value is None or value == "":
        return None
    text = read_text(value).strip()
    if not _APP_KEY.fullmatch(text):
        refuse("bad_format", "is no app key", "letters, digits, - and _")
    return text


Name = Annotated[str, BeforeValidator(_read_name)]
Folder = Annotated[str, BeforeValidator(_read_folder)]
Host = Annotated[str, BeforeValidator(_read_host)]


class LocationSettings(BaseModel):
    """Where the node is, for sunrise and sunset. Degrees, north and east positive."""

    model_config = FROZEN
    latitude: Annotated[float, BeforeValidator(a_float(-90, 90)), spanning(-90, 90)]
    longitude: Annotated[float, BeforeValidator(a_float(-180, 180)), spanning(-180, 180)]


class LogSettings(BaseModel):
    """What is logged to stderr, and how."""

    model_config = FROZEN
    level: Annotated[
        Literal["debug", "info", "warning", "error"], BeforeValidator(a_choice("debug", "info", "warning", "error"))
    ] = "info"
    format: Annotated[Literal["text", "json"], BeforeValidator(a_choice("text", "json"))] = "text"


class MqttSettings(BaseModel):
    """The broker and what is told to it."""

    model_config = FROZEN
    url: Annotated[str, BeforeValidator(_read_broker), like(_BROKER_PATTERN)] = "mqtt://localhost:1883"
    username: MaybeText = None
    password: MaybeSecret = None
    ca_file: MaybeText = None
    cert_file: MaybeText = None
    key_file: MaybeText = None
    insecure: Flag = False
    base_topic: Annotated[str, BeforeValidator(_a_topic(empty=False))] = "edge_service"
    discovery_prefix: Annotated[str, BeforeValidator(_a_topic(empty=True))] = "homeassistant"
    birth_topic: Annotated[str, BeforeValidator(_a_topic(empty=True))] = "homeassistant/status"
    frames: Flag = True

    @model_validator(mode="after")
    def _key_with_certificate(self) -> MqttSettings:
        if self.key_file and not self.cert_file:
            refuse("required", "is missing beside key_file", "both, or cert_file alone", below="cert_file")
        return self


class DropboxSettings(BaseModel):
    """Frames go to Dropbox."""

    model_config = FROZEN
    type: Literal["dropbox"] = "dropbox"
    app_key: Annotated[str | None, BeforeValidator(_read_app_key)] = None
    app_secret: MaybeSecret = None
    folder: Folder = "/Timelapse"
    name: Name = DEFAULT_NAME
    manifest: Flag = True


class FolderSettings(BaseModel):
    """Frames go to a folder of this machine; ``folder`` is a folder inside ``path``."""

    model_config = FROZEN
    type: Literal["folder"]
    path: FilledText
    folder: Folder = "/"
    name: Name = DEFAULT_NAME
    manifest: Flag = True


DestinationSettings = Annotated[DropboxSettings | FolderSettings, Discriminator("type")]


class WebSettings(BaseModel):
    """The sign-in page. ``public_url`` is how browsers reach it, without / at the end."""

    model_config = FROZEN
    host: Host = "127.0.0.1"
    port: Annotated[int, BeforeValidator(an_int(1, 65535)), spanning(1, 65535, "integer")] = 8080
    public_url: Annotated[str | None, BeforeValidator(_read_public_url)] = None
    hosts: Annotated[tuple[Host, ...], BeforeValidator(read_list)] = ()

    @property
    def url(self) -> str:
        """``public_url``, or localhost with the port when there is none."""
        return self.public_url or f"http://localhost:{self.port}"


class SpoolSettings(BaseModel):
    """Local disk. Sizes in bytes, ``keep_delivered`` in seconds."""

    model_config = FROZEN
    max_bytes: Annotated[int, BeforeValidator(a_size(100_000, _MOST_BYTES)), size_schema(100_000, _MOST_BYTES)] = (
        2 * 10**9
    )
    min_free_bytes: Annotated[int, BeforeValidator(a_size(0, _MOST_BYTES)), size_schema(0, _MOST_BYTES)] = 200 * 10**6
    keep_delivered: Annotated[
        int | float, BeforeValidator(a_duration(0, 10 * _YEAR)), duration_schema(0, 10 * _YEAR)
    ] = 86400
    when_full: Annotated[
        Literal["thin", "drop_oldest", "refuse"], BeforeValidator(a_choice("thin", "drop_oldest", "refuse"))
    ] = "thin"
    quarantine_max_bytes: Annotated[int, BeforeValidator(a_size(0, _MOST_BYTES)), size_schema(0, _MOST_BYTES)] = (
        50 * 10**6
    )


class UploadSettings(BaseModel):
    """Delivery. ``batch_seconds`` in seconds, ``max_bytes_per_second`` 0 for no limit, ``memory`` in bytes."""

    model_config = FROZEN
    batch_seconds: Annotated[int | float, BeforeValidator(a_duration(0, 600)), duration_schema(0, 600)] = 2
    max_bytes_per_second: Annotated[int, BeforeValidator(a_size(0, 10**12)), size_schema(0, 10**12)] = 0
    hours: Annotated[str, BeforeValidator(_read_hours)] = ""
    memory: Annotated[int, BeforeValidator(a_size(2**20, 2**34)), size_schema(2**20, 2**34)] = 16 * 2**20


class LedgerSettings(BaseModel):
    """How long details are kept: seconds and bytes, whichever comes first."""

    model_config = FROZEN
    details: Annotated[
        int | float, BeforeValidator(a_duration(3600, 20 * _YEAR)), duration_schema(3600, 20 * _YEAR)
    ] = 30 * 86400
    max_bytes: Annotated[int, BeforeValidator(a_size(10**6, _MOST_BYTES)), size_schema(10**6, _MOST_BYTES)] = (
        500 * 10**6
    )
