"""A camera's device in Home Assistant: its entities and the templates that read C/state. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge_service import __version__
from edge_service.discovery import Device, Entity
from edge_service.reports import CAMERA_EVENTS, LONGEST_STATE, RESULTS
from edge_service.settings_camera import INTERVALS_S

if TYPE_CHECKING:
    from edge_service.topics import Topics

_RARE_COUNTS: Final = ("rejected", "skipped", "dropped", "extra")
_COUNTS: Final = ("kept", "rejected", "failed", "skipped", "delivered", "dropped", "extra")


def camera_announcement(topics: Topics, camera: str, name: str, *, frames: bool) -> Entity:
    """The payload for ``topics.discovery(camera)``; without ``frames`` no picture is published."""
    device = Device(topics, camera)
    _controls(device, camera)
    _pictures(device, camera, frames=frames)
    _moments(device, camera)
    _counts(device, camera)
    _today(device, camera)
    _condition(device, camera)
    return device.announcement(
        {"name": name, "model": "Time-lapse camera", "sw_version": __version__, "via_device": topics.slug()}
    )


def _controls(device: Device, camera: str) -> None:
    topics, state = device.topics, device.topics.camera_state(camera)
    low, high = INTERVALS_S
    device.add(
        "switch",
        "capture",
        "Capture",
        icon="mdi:camera-timer",
        command_topic=topics.set("capture", camera),
        state_topic=state,
        value_template="{{ 'ON' if value_json.capture == 'running' else 'OFF' }}",
    )
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
        state_topic=state,
        value_template="{{ value_json.interval_s }}",
    )
    device.add(
        "text",
        "source",
        "Source",
        icon="mdi:link",
        entity_category="config",
        max=LONGEST_STATE,
        command_topic=topics.set("source", camera),
        state_topic=state,
        value_template="{{ value_json.source or '' }}",
    )


def _pictures(device: Device, camera: str, *, frames: bool) -> None:
    topics, state = device.topics, device.topics.camera_state(camera)
    if frames:
        device.add("image", "last_frame", "Last frame", image_topic=topics.frame(camera), content_type="image/jpeg")
    else:
        device.leave_out("image", "last_frame")
    size = "value_json.frame.bytes"
    device.add(
        "sensor",
        "frame_size",
        "Frame size",
        icon="mdi:image-size-select-large",
        entity_category="diagnostic",
        device_class="data_size",
        state_class="measurement",
        unit_of_measurement="kB",
        enabled_by_default=False,
        state_topic=state,
        value_template=f"{{{{ ({size} / 1000) | round(1) if {size} is not none else None }}}}",
    )


def _moments(device: Device, camera: str) -> None:
    state = device.topics.camera_state(camera)
    for key, name, category in (
        ("captured_at", "Captured at", None),
        ("next_at", "Next at", None),
        ("delivered_at", "Delivered at", "diagnostic"),
    ):
        device.add(
            "sensor",
            key,
            name,
            entity_category=category,
            device_class="timestamp",
            state_topic=state,
            value_template=f"{{{{ value_json.{key} }}}}",
        )
    device.add(
        "sensor",
        "last_result",
        "Last result",
        icon="mdi:image-check-outline",
        device_class="enum",
        options=list(RESULTS),
        state_topic=state,
        value_template="{{ value_json.last_result }}",
        json_attributes_topic=state,
        json_attributes_template="{{ {'reason': value_json.last_reason} | tojson }}",
    )


def _counts(device: Device, camera: str) -> None:
    for count in _COUNTS:
        device.add(
            "sensor",
            f"{count}_count",
            f"{count.capitalize()} frames",
            icon="mdi:counter",
            entity_category="diagnostic",
            state_class="total_increasing",
            unit_of_measurement="frames",
            enabled_by_default=False if count in _RARE_COUNTS else None,
            state_topic=device.topics.camera_state(camera),
            value_template=f"{{{{ value_json.counts.{count} }}}}",
        )


def _today(device: Device, camera: str) -> None:
    state = device.topics.camera_state(camera)
    share = "value_json.today.completeness"
    device.add(
        "sensor",
        "completeness",
        "Completeness today",
        icon="mdi:check-all",
        state_class="measurement",
        unit_of_measurement="%",
        suggested_display_precision=1,
        state_topic=state,
        value_template=f"{{{{ ({share} * 100) | round(2) if {share} is not none else None }}}}",
    )
    device.add(
        "sensor",
        "longest_gap",
        "Longest gap today",
        icon="mdi:arrow-expand-horizontal",
        entity_category="diagnostic",
        device_class="duration",
        state_class="measurement",
        unit_of_measurement="s",
        state_topic=state,
        value_template="{{ value_json.today.longest_gap_s }}",
    )


def _condition(device: Device, camera: str) -> None:
    topics, state = device.topics, device.topics.camera_state(camera)
    device.add(
        "binary_sensor",
        "connectivity",
        "Connectivity",
        entity_category="diagnostic",
        device_class="connectivity",
        state_topic=topics.camera_status(camera),
        payload_on="online",
        payload_off="offline",
    )
    device.add(
        "binary_sensor",
        "problem",
        "Problem",
        entity_category="diagnostic",
        device_class="problem",
        state_topic=state,
        value_template="{{ 'ON' if value_json.problems else 'OFF' }}",
        json_attributes_topic=state,
        json_attributes_template="{{ {'problems': value_json.problems} | tojson }}",
    )
    device.add(
        "event",
        "event",
        "Event",
        icon="mdi:bell-outline",
        enabled_by_default=False,
        event_types=list(CAMERA_EVENTS),
        state_topic=topics.event(camera),
    )
