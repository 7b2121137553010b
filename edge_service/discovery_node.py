"""The node's device in Home Assistant: its entities and the templates that read B/state, B/link and B/health. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge_service import __version__
from edge_service.discovery import Device, Entity, attributes, reads, scaled
from edge_service.reports import LINK_STATES, LONGEST_STATE, UPLOAD_STATES

if TYPE_CHECKING:
    from edge_service.topics import Topics

LOG_LEVELS: Final = ("debug", "info", "warning", "error")
HEALTH_EXPIRES_S: Final = 300


def node_announcement(topics: Topics, *, dropbox: bool) -> Entity:
    """The payload for ``topics.discovery()``; without ``dropbox`` there is nothing to sign in to."""
    device = Device(topics)
    device.capture_switch()
    _controls(device)
    _link(device)
    _sign_in(device, dropbox=dropbox)
    _delivery(device)
    _queue(device)
    _condition(device)
    return device.announcement({"name": topics.node, "model": "Time-lapse node", "sw_version": __version__})


def _controls(device: Device) -> None:
    topics = device.topics
    device.add("button", "capture_all", "Capture all now", icon="mdi:camera-burst", command_topic=topics.cmd("capture"))
    device.add(
        "button",
        "retry",
        "Retry uploads",
        icon="mdi:cloud-refresh",
        entity_category="config",
        command_topic=topics.cmd("retry"),
    )
    device.add(
        "text",
        "folder",
        "Folder",
        icon="mdi:folder-outline",
        entity_category="config",
        command_topic=topics.set("folder"),
        state_topic=device.state,
        max=LONGEST_STATE,
        value_template=reads(f"folder[:{LONGEST_STATE}]"),
    )
    device.add(
        "select",
        "log_level",
        "Log level",
        icon="mdi:text-box-search-outline",
        entity_category="config",
        command_topic=topics.set("log_level"),
        state_topic=device.state,
        options=list(LOG_LEVELS),
        value_template=reads("log_level"),
    )


def _link(device: Device) -> None:
    link = device.topics.link
    device.sensor(
        "link",
        "Dropbox link",
        reads("state"),
        state_topic=link,
        icon="mdi:dropbox",
        entity_category="diagnostic",
        device_class="enum",
        options=list(LINK_STATES),
        json_attributes_topic=link,
        json_attributes_template=attributes("account", "scopes", "message"),
    )


def _sign_in(device: Device, *, dropbox: bool) -> None:
    topics = device.topics
    if not dropbox:
        for platform, key in (("button", "link_dropbox"), ("text", "code"), ("sensor", "sign_in")):
            device.leave_out(platform, key)
        return
    device.add(
        "button",
        "link_dropbox",
        "Link Dropbox",
        icon="mdi:link-variant",
        entity_category="config",
        command_topic=topics.cmd("link"),
    )
    device.add(
        "text",
        "code",
        "Authorisation code",
        icon="mdi:key-outline",
        entity_category="config",
        command_topic=topics.cmd("code"),
        state_topic=topics.link,
        max=LONGEST_STATE,
        # a code is never shown back: whatever B/link says, the box is empty again
        value_template="{{ '' }}",
    )
    device.sensor(
        "sign_in",
        "Sign-in",
        "{{ 'open' if value_json.open else 'none' }}",
        state_topic=topics.link,
        icon="mdi:login",
        entity_category="diagnostic",
        device_class="enum",
        options=["none", "open"],
        json_attributes_topic=topics.link,
        json_attributes_template=attributes("url", "authorize_url", "expires_at"),
    )


def _delivery(device: Device) -> None:
    device.sensor("message", "Message", reads(f"message[:{LONGEST_STATE}]"), icon="mdi:message-text-outline")
    device.sensor(
        "upload",
        "Upload",
        reads("upload.state"),
        icon="mdi:cloud-upload-outline",
        entity_category="diagnostic",
        device_class="enum",
        options=list(UPLOAD_STATES),
    )
    device.moment("last_delivery", "Last delivery", "upload.last_ok_at", entity_category="diagnostic")


def _queue(device: Device) -> None:
    device.sensor(
        "queue_frames",
        "Waiting frames",
        reads("queue.frames"),
        icon="mdi:tray-full",
        state_class="measurement",
        unit_of_measurement="frames",
    )
    device.sensor(
        "queue_size",
        "Waiting size",
        "{{ (value_json.queue.bytes / 1000000) | round(1) }}",
        icon="mdi:tray-full",
        entity_category="diagnostic",
        device_class="data_size",
        state_class="measurement",
        unit_of_measurement="MB",
    )
    device.moment("oldest", "Oldest waiting", "queue.oldest_at", entity_category="diagnostic")
    device.sensor(
        "time_to_empty",
        "Time to empty",
        reads("queue.eta_s"),
        icon="mdi:timer-sand",
        entity_category="diagnostic",
        device_class="duration",
        unit_of_measurement="s",
        state_class="measurement",
        enabled_by_default=False,
    )


def _condition(device: Device) -> None:
    device.sensor(
        "free_disk",
        "Free disk",
        scaled("disk.free_bytes", "/ 1000000000", 2),
        icon="mdi:harddisk",
        entity_category="diagnostic",
        device_class="data_size",
        state_class="measurement",
        unit_of_measurement="GB",
    )
    device.sensor(
        "memory",
        "Memory",
        scaled("rss_bytes", "/ 1000000", 1),
        state_topic=device.topics.health,
        icon="mdi:memory",
        entity_category="diagnostic",
        device_class="data_size",
        state_class="measurement",
        unit_of_measurement="MB",
        enabled_by_default=False,
        expire_after=HEALTH_EXPIRES_S,
    )
    device.problem()
    device.add(
        "binary_sensor",
        "clock",
        "Clock",
        icon="mdi:clock-alert-outline",
        entity_category="diagnostic",
        device_class="problem",
        state_topic=device.state,
        value_template="{{ 'OFF' if value_json.clock.ok else 'ON' }}",
    )
