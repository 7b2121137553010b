"""A camera's device in Home Assistant: its entities and the templates that read C/state. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge_service import __version__
from edge_service.discovery import Device, Entity, attributes, reads, scaled
from edge_service.reports import CAMERA_EVENTS, LONGEST_STATE, RESULTS
from edge_service.settings_camera import INTERVALS_S

if TYPE_CHECKING:
    from edge_service.topics import Topics

_RARE_COUNTS: Final = ("rejected", "skipped", "dropped", "extra")
_COUNTS: Final = ("kept", "rejected", "failed", "skipped", "delivered", "dropped", "extra")


def camera_announcement(topics: Topics, camera: str, name: str, *, frames: bool) -> Entity:
    """The payload for ``topics.discovery(camera)``; without ``frames`` no picture is published."""
    device = Device(topics, camera)
    device.capture_switch()
    _controls(device, camera)
    _pictures(device, camera, frames=frames)
    _moments(device)
    _counts(device)
    _today(device)
    _condition(device, camera)
    return device.announcement(
        {"name": name, "model": "Time-lapse camera", "sw_version": __version__, "via_device": topics.slug()}
    )


def _controls(device: Device, camera: str) -> None:
    topics = device.topics
    low, high = INTERVALS_S
    device.add("button", "capture_now", "Capture now", icon="mdi:camera", command_topic=topics.cmd("capture", camera))
    device.add(
        "number",
        "interval",
        "Interval",
        icon="mdi:timer-outline",
        entity_category="config",
        device_class="duration",
        unit_of_measurement="s",
        mode="box",
        min=low,
        max=high,
        step=1,
        command_topic=topics.set("interval", camera),
        state_topic=device.state,
        value_template=reads("interval_s"),
    )
    device.add(
        "text",
        "source",
        "Source",
        icon="mdi:link",
        entity_category="config",
        max=LONGEST_STATE,
        command_topic=topics.set("source", camera),
        state_topic=device.state,
        value_template="{{ value_json.source or '' }}",
    )


def _pictures(device: Device, camera: str, *, frames: bool) -> None:
    if frames:
        topic = device.topics.frame(camera)
        device.add("image", "last_frame", "Last frame", image_topic=topic, content_type="image/jpeg")
    else:
        device.leave_out("image", "last_frame")
    device.sensor(
        "frame_size",
        "Frame size",
        scaled("frame.bytes", "/ 1000", 1),
        icon="mdi:image-size-select-large",
        entity_category="diagnostic",
        device_class="data_size",
        state_class="measurement",
        unit_of_measurement="kB",
        enabled_by_default=False,
    )


def _moments(device: Device) -> None:
    device.moment("captured_at", "Captured at", "captured_at")
    device.moment("next_at", "Next at", "next_at")
    device.moment("delivered_at", "Delivered at", "delivered_at", entity_category="diagnostic")
    device.sensor(
        "last_result",
        "Last result",
        reads("last_result"),
        icon="mdi:image-check-outline",
        device_class="enum",
        options=list(RESULTS),
        json_attributes_topic=device.state,
        json_attributes_template=attributes(reason="last_reason"),
    )


def _counts(device: Device) -> None:
    for count in _COUNTS:
        device.sensor(
            f"{count}_count",
            f"{count.capitalize()} frames",
            reads(f"counts.{count}"),
            icon="mdi:counter",
            entity_category="diagnostic",
            state_class="total_increasing",
            unit_of_measurement="frames",
            enabled_by_default=False if count in _RARE_COUNTS else None,
        )


def _today(device: Device) -> None:
    device.sensor(
        "completeness",
        "Completeness today",
        scaled("today.completeness", "* 100", 2),
        icon="mdi:check-all",
        state_class="measurement",
        unit_of_measurement="%",
        suggested_display_precision=1,
    )
    device.sensor(
        "longest_gap",
        "Longest gap today",
        reads("today.longest_gap_s"),
        icon="mdi:arrow-expand-horizontal",
        entity_category="diagnostic",
        device_class="duration",
        state_class="measurement",
        unit_of_measurement="s",
    )


def _condition(device: Device, camera: str) -> None:
    device.add(
        "binary_sensor",
        "connectivity",
        "Connectivity",
        entity_category="diagnostic",
        device_class="connectivity",
        state_topic=device.topics.camera_status(camera),
        payload_on="online",
        payload_off="offline",
    )
    device.problem()
    device.add(
        "event",
        "event",
        "Event",
        icon="mdi:bell-outline",
        enabled_by_default=False,
        event_types=list(CAMERA_EVENTS),
        state_topic=device.topics.event(camera),
    )
