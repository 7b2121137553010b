"""The settings in force, as frozen values named exactly as the keys of the file. Pure.

Where they come from is :mod:`edge_service.layers`'s work; how they change over MQTT :mod:`edge_service.patches`'s; how
they are shown :mod:`edge_service.redaction`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from edge_service.daytimes import parse_day_time
from edge_service.name_template import names_camera
from edge_service.setting_types import FROZEN, FilledText, read_map, read_text, refuse
from edge_service.settings_camera import (
    Auth,
    BasicAuth,
    BearerAuth,
    CameraSettings,
    DigestAuth,
    WindowSettings,
)
from edge_service.settings_parts import (
    DestinationSettings,
    DropboxSettings,
    FolderSettings,
    LedgerSettings,
    LocationSettings,
    LogSettings,
    MqttSettings,
    SpoolSettings,
    UploadSettings,
    WebSettings,
)
from edge_service.units import ID_FORM, id_fault

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "Auth",
    "BasicAuth",
    "BearerAuth",
    "CameraSettings",
    "DestinationSettings",
    "DigestAuth",
    "DropboxSettings",
    "FolderSettings",
    "LedgerSettings",
    "LocationSettings",
    "LogSettings",
    "MqttSettings",
    "Settings",
    "SpoolSettings",
    "UploadSettings",
    "WebSettings",
    "WindowSettings",
]

MOST_CAMERAS: Final = 256
_MOST_NAMED: Final = 8


def _read_id(value: object) -> str:
    text = read_text(value)
    if fault := id_fault(text):
        refuse("bad_format", fault, ID_FORM)
    return text


def _read_zone(value: object) -> str:
    text = read_text(value).strip()
    try:
        return ZoneInfo(text).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        refuse("not_allowed", "is no time zone", "a name of the IANA list, like Europe/London or UTC")


def _read_cameras(value: object) -> object:
    cameras = read_map(value)
    if len(cameras) > MOST_CAMERAS:
        refuse("too_big", "holds too many cameras", f"at most {MOST_CAMERAS}")
    named: dict[object, object] = dict(cameras)
    for camera_id, camera in cameras.items():
        # of blanks too: Home Assistant refuses a device without a name
        if isinstance(camera, dict) and not str(camera.get("name") or "").strip():
            named[camera_id] = {**camera, "name": camera_id}
    return named


Id = Annotated[str, BeforeValidator(_read_id)]


class Settings(BaseModel):
    """Everything that can be set. Frozen: a change makes another one."""

    model_config = FROZEN
    node: Id
    timezone: Annotated[str, BeforeValidator(_read_zone)] = "UTC"
    location: LocationSettings | None = None
    data_dir: FilledText = "./data"
    log: LogSettings = LogSettings()
    mqtt: MqttSettings = MqttSettings()
    destination: DestinationSettings = DropboxSettings()
    web: WebSettings = WebSettings()
    spool: SpoolSettings = SpoolSettings()
    upload: UploadSettings = UploadSettings()
    ledger: LedgerSettings = LedgerSettings()
    cameras: Annotated[dict[Id, CameraSettings], BeforeValidator(_read_cameras)] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _parts_fit(self) -> Settings:
        faults = [
            {"path": path, "code": code, "text": text, "allowed": allowed, "shown_by": shown_by}
            for path, code, text, allowed, shown_by in _misfits(self)
        ]
        if faults:
            raise PydanticCustomError("misfits", "the settings do not fit together", {"faults": faults})
        return self

    @property
    def zone(self) -> ZoneInfo:
        """The node's time zone (ZoneInfo keeps one object per name)."""
        return ZoneInfo(self.timezone)

    @property
    def base(self) -> str:
        """``B`` of the contract: ``<base_topic>/<node>``."""
        return f"{self.mqtt.base_topic}/{self.node}"


def _misfits(settings: Settings) -> Iterator[tuple[str, str, str, str, tuple[str, ...]]]:
    """(path, code, message, allowed, key that shows it) of what is wrong between parts that are right on their own."""
    if settings.location is None:
        sunny = [name for name, camera in settings.cameras.items() if _any_sun(camera.times)]
        if sunny:
            yield (
                "location",
                "required",
                f"is needed for the sun times of {_some(sunny)}",
                "latitude and longitude",
                ("cameras", sunny[0], "at" if _any_sun(settings.cameras[sunny[0]].at or ()) else "windows"),
            )
    if len(settings.cameras) > 1 and not names_camera(settings.destination.name):
        yield "destination.name", "not_allowed", "names the frames of several cameras alike", "a name with {camera}", ()


def _some(names: list[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names) if more <= 0 else f"{', '.join(names[:_MOST_NAMED])} and {more} more"


def _any_sun(times: Iterable[str]) -> bool:
    return any(parse_day_time(time).sun for time in times)
