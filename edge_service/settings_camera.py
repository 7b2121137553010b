"""The settings of one camera: its source, credentials, plan and limits. Pure, frozen values; nothing is fetched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, Discriminator, Field, SecretStr, model_validator

from edge_service.addresses import split_url
from edge_service.daytimes import DAY_FORMS, DAY_PATTERN, TIME_FORMS, TIME_PATTERN, parse_day_time, parse_days
from edge_service.setting_types import (
    FROZEN,
    SECRET_SCHEMA,
    Flag,
    Secret,
    Words,
    a_duration,
    a_float,
    a_size,
    duration_schema,
    like,
    read_list,
    read_map,
    read_text,
    refuse,
    size_schema,
    spanning,
)
from edge_service.url_secrets import redact_url

if TYPE_CHECKING:
    from collections.abc import Iterable

DEFAULT_INTERVAL: Final = 300
INTERVALS_S: Final = (5, 86_400)
"""The shortest and the longest interval."""
_SOURCE_PATTERN: Final = r"^\s*[hH][tT][tT][pP][sS]?://[^/?#@\s]+([/?#]|\s*$)"
_MOST_TIMES: Final = 288
_MOST_WINDOWS: Final = 64
_MOST_HEADERS: Final = 32
_LONGEST_NAME: Final = 64
_HEADER_CHARACTERS: Final = frozenset("!#$%&'*+-.^_`|~abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_OUR_HEADERS: Final = frozenset(["host", "content-length", "transfer-encoding", "connection", "accept-encoding"])


def read_source(value: object) -> str:
    """A camera's address: http or https, a valid host, no user or password inside."""
    text = read_text(value).strip()
    try:
        split_url(text, ("http", "https"))
    except ValueError as error:
        refuse("bad_format", str(error), "an address like http://192.168.1.20/snapshot.jpg; user and password in auth")
    return text


def read_time(value: object) -> str:
    """A time of day in its canonical form (``7:00`` becomes ``07:00``)."""
    text = read_text(value)
    try:
        return str(parse_day_time(text))
    except ValueError:
        refuse("bad_format", "is no time of day", TIME_FORMS)


def _read_times(value: object) -> object:
    times = read_list(value)
    if not times:
        refuse("too_small", "is empty", "one time or more")
    if len(times) > _MOST_TIMES:
        refuse("too_big", "has too many times", f"at most {_MOST_TIMES}")
    return times


def _read_day(value: object) -> str:
    text = read_text(value).strip().lower()
    try:
        parse_days(text)
    except ValueError:
        refuse("not_allowed", "is no day", DAY_FORMS)
    return text


def _read_days(value: object) -> object:
    days = read_list(value)
    if not days:
        refuse("too_small", "is empty", DAY_FORMS)
    return days


def _read_windows(value: object) -> object:
    windows = read_list(value)
    if len(windows) > _MOST_WINDOWS:
        refuse("too_big", "has too many windows", f"at most {_MOST_WINDOWS}")
    return windows


def _read_header_name(value: object) -> str:
    name = read_text(value)
    if not name or not set(name) <= _HEADER_CHARACTERS:
        refuse("bad_format", "is no header name", "letters, digits and -")
    if name.lower() in _OUR_HEADERS:
        refuse("not_allowed", "is a header that the program sets itself", "any other header")
    return name


def _read_headers(value: object) -> object:
    headers = read_map(value)
    if len(headers) > _MOST_HEADERS:
        refuse("too_big", "has too many headers", f"at most {_MOST_HEADERS}")
    return headers


def _read_header_value(value: object) -> object:
    if isinstance(value, SecretStr):
        return value
    text = read_text(value)
    try:
        text.encode("latin-1")
    except UnicodeError:
        refuse("bad_format", "holds a character that no header can have", "Latin-1 text")
    return SecretStr(text.strip())


def _read_name(value: object) -> str:
    text = read_text(value).strip() if value is not None else ""
    if len(text) > _LONGEST_NAME:
        refuse("too_big", "is too long", f"at most {_LONGEST_NAME} characters")
    return text


TimeText = Annotated[str, BeforeValidator(read_time), like(TIME_PATTERN)]
Times = Annotated[tuple[TimeText, ...], BeforeValidator(_read_times)]
Interval = Annotated[int, BeforeValidator(a_duration(*INTERVALS_S, whole=True)), duration_schema(*INTERVALS_S)]
HeaderName = Annotated[str, BeforeValidator(_read_header_name)]
HeaderValue = Annotated[SecretStr, BeforeValidator(_read_header_value), SECRET_SCHEMA]


def _read_basic_name(value: object) -> str:
    name = read_text(value)
    if ":" in name:
        refuse("not_allowed", "has a colon, with which the camera would take its rest for the password", "no colon")
    return name


class BasicAuth(BaseModel):
    """HTTP Basic (RFC 7617: the first colon ends the name)."""

    model_config = FROZEN
    type: Literal["basic"]
    username: Annotated[str, BeforeValidator(_read_basic_name), like("^[^:]*$")]
    password: Secret


class DigestAuth(BaseModel):
    """HTTP Digest (RFC 7616)."""

    model_config = FROZEN
    type: Literal["digest"]
    username: Words
    password: Secret


class BearerAuth(BaseModel):
    """A bearer token (RFC 6750)."""

    model_config = FROZEN
    type: Literal["bearer"]
    token: Secret


Auth = Annotated[BasicAuth | DigestAuth | BearerAuth, Discriminator("type")]


class WindowSettings(BaseModel):
    """A stretch of the day in which frames are taken, with its own interval or times if it has any."""

    model_config = FROZEN
    days: Annotated[
        tuple[Annotated[str, BeforeValidator(_read_day), like(DAY_PATTERN)], ...], BeforeValidator(_read_days)
    ] = ("mon-sun",)
    from_: TimeText = Field(alias="from")
    to: TimeText
    interval: Interval | None = None
    at: Times | None = None

    @model_validator(mode="after")
    def _one_plan(self) -> WindowSettings:
        if self.interval is not None and self.at is not None:
            refuse("not_allowed", "stands beside interval", "one of interval and at", below="at")
        if self.from_ == self.to:
            refuse(
                "not_allowed",
                "begins and ends at the same time",
                "two different times; no windows at all: always",
                below="to",
            )
        return self

    @property
    def weekdays(self) -> frozenset[int]:
        """The days on which it opens; 0 is Monday."""
        return frozenset().union(*(parse_days(day) for day in self.days))


class CameraSettings(BaseModel):
    """One camera. Exactly one of ``interval`` and ``at`` is set. Durations in seconds, sizes in bytes."""

    model_config = FROZEN
    name: Annotated[str, BeforeValidator(_read_name)] = ""
    source: Annotated[str, BeforeValidator(read_source), like(_SOURCE_PATTERN)]
    auth: Auth | None = None
    headers: Annotated[dict[HeaderName, HeaderValue], BeforeValidator(_read_headers)] = Field(default_factory=dict)
    verify_tls: Flag = True
    timeout: Annotated[int | float, BeforeValidator(a_duration(0.5, 300)), duration_schema(0.5, 300)] = 10
    max_bytes: Annotated[int, BeforeValidator(a_size(1000, 500 * 10**6)), size_schema(1000, 500 * 10**6)] = 20 * 10**6
    interval: Interval | None = None
    at: Times | None = None
    windows: Annotated[tuple[WindowSettings, ...], BeforeValidator(_read_windows)] = ()
    min_completeness: Annotated[float, BeforeValidator(a_float(0, 1)), spanning(0, 1)] = 0.9

    @model_validator(mode="before")
    @classmethod
    def _fill_interval(cls, value: object) -> object:
        if isinstance(value, dict) and value.get("interval") is None and value.get("at") is None:
            return {**value, "interval": DEFAULT_INTERVAL}
        return value

    @model_validator(mode="after")
    def _one_plan(self) -> CameraSettings:
        if self.interval is not None and self.at is not None:
            refuse("not_allowed", "stands beside interval", "one of interval and at", below="at")
        return self

    def __repr_args__(self) -> Iterable[tuple[str | None, object]]:
        """The fields for repr and str, with the source redacted."""
        return [(name, redact_url(self.source) if name == "source" else v) for name, v in super().__repr_args__()]

    @property
    def times(self) -> tuple[str, ...]:
        """All times of day that the plan names, its windows' included."""
        inside = [time for window in self.windows for time in (window.from_, window.to, *(window.at or ()))]
        return (*(self.at or ()), *inside)
