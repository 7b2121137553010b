"""The node's device in Home Assistant: its entities and the templates that read B/state, B/link and B/health. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge_service import __version__
from edge_service.discovery import Device, Entity
from edge_service.reports import LINK_STATES, LONGEST_STATE, UPLOAD_STATES

if TYPE_CHECKING:
    from edge_service.topics import Topics

LOG_LEVELS: Final = ("debug", "info", "warning", "error")
HEALTH_EXPIRES_S: Final = 300


def node_announcement(topics: Topics, *, dropbox: bool) -> Entity:
    """The payload for ``topics.discovery()``; without ``dropbox`` there is nothing to sign in to."""
    device = Device(topics)
    _controls(device)
    _sign_in(device, dropbox=dropbox)
    _delivery(device)
    _condition(device)
    return device.announcement({"name": topics.node, "model": "Time-lapse node", "sw_version": __version__})


def _controls(device: Device) -> None:
    topics = device.topics
    device.add(
        "switch",
        "capture",
        "Capture",
        icon="mdi:camera-timer",
        command_topic=topics.set("capture"),
        state_topic=topics.state,
        value_template="{{ 'ON' if value_json.capture == 'running' else 'OFF' }}",
    )
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
        state_topic=topics.state,
        max=LONGEST_STATE,
        value_template=f"{{{{ value_json.folder[:{LONGEST_STATE}] }}}}",
    )
    device.add(
        "select",
        "log_level",
        "Log level",
        icon="mdi:text-box-search-outline",
        entity_category="config",
        command_topic=topics.set("log_level"),
        state_topic=topics.state,
        options=list(LOG_LEVELS),
        value_template="{{ value_json.log_level }}",
    )


def _sign_in(device: Device, *, dropbox: bool) -> None:
    topics = device.topics
    device.add(
        "sensor",
        "link",
        "Dropbox link",
        icon="mdi:dropbox",
        entity_category="diagnostic",
        device_class="enum",
        options=list(LINK_STATES),
        state_topic=topics.link,
        value_template="{{ value_json.state }}",
        json_attributes_topic=topics.link,
        json_attributes_template=_attributes("account", "scopes", "message"),
    )
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
    device.add(
        "sensor",
        "sign_in",
        "Sign-in",
        icon="mdi:login",
        entity_category="diagnostic",
        device_class="enum",
        options=["none", "open"],
        state_topic=topics.link,
        value_template="{{ 'open' if value_json.open else 'none' }}",
        json_attributes_topic=topics.link,
        json_attributes_template=_attributes("url", "authorize_url", "expires_at"),
    )


def _delivery(device: Device) -> None:
    state = device.topics.state
    device.add(
        "sensor",
        "message",
        "Message",
        icon="mdi:message-text-outline",
        state_topic=state,
        value_template=f"{{{{ value_json.message[:{LONGEST_STATE}] }}}}",
    )
    device.add(
        "sensor",
        "upload",
        "Upload",
        icon="mdi:cloud-upload-outline",
        entity_category="diagnostic",
        device_class="enum",
        options=list(UPLOAD_STATES),
        state_topic=state,
        value_template="{{ value_json.upload.state }}",
    )
    device.add(
        "sensor",
        "queue_frames",
        "Waiting frames",
        icon="mdi:tray-full",
        state_class="measurement",
        unit_of_measurement="frames",
        state_topic=state,
        value_template="{{ value_json.queue.frames }}",
    )
    device.add(
        "sensor",
        "queue_size",
        "Waiting size",
        icon="mdi:tray-full",
        entity_category="diagnostic",
        device_class="data_size",
        state_class="measurement",
        unit_of_measurement="MB",
        state_topic=state,
        value_template="{{ (value_json.queue.bytes / 1000000) | round(1) }}",
    )
    _moment(device, "oldest", "Oldest waiting", "value_json.queue.oldest_at")
    device.add(
        "sensor",
        "time_to_empty",
        "Time to empty",
        icon="mdi:timer-sand",
        entity_category="diagnostic",
        device_class="duration",
        unit_of_measurement="s",
        state_class="measurement",
        enabled_by_default=False,
        state_topic=state,
        value_template="{{ value_json.queue.eta_s }}",
    )
    _moment(device, "last_delivery", "Last delivery", "value_json.upload.last_ok_at")


def _moment(device: Device, key: str, name: str, value: str) -> None:
    device.add(
        "sensor",
        key,
        name,
        entity_category="diagnostic",
        device_class="timestamp",
        state_topic=device.topics.state,
        value_template=f"{{{{ {value} }}}}",
    )


def _condition(device: Device) -> None:
    topics = device.topics
    free = "value_json.disk.free_bytes"
    device.add(
        "sensor",
        "free_disk",
        "Free disk",
        icon="mdi:harddisk",
        entity_category="diagnostic",
        device_class="data_size",
        state_class="measurement",
        unit_of_measurement="GB",
        state_topic=topics.state,
        value_template=f"{{{{ ({free} / 1000000000) | round(2) if {free} is not none else None }}}}",
    )
    memory = "value_json.rss_bytes"
    device.add(
        "sensor",
        "memory",
        "Memory",
        icon="mdi:memory",
        entity_category="diagnostic",
        device_class="data_size",
        state_class="measurement",
        unit_of_measurement="MB",
        enabled_by_default=False,
        expire_after=HEALTH_EXPIRES_S,
        state_topic=topics.health,
        value_template=f"{{{{ ({memory} / 1000000) | round(1) if {memory} is not none else None }}}}",
    )
    device.add(
        "binary_sensor",
        "problem",
        "Problem",
        entity_category="diagnostic",
        device_class="problem",
        state_topic=topics.state,
        value_template="{{ 'ON' if value_json.problems else 'OFF' }}",
        json_attributes_topic=topics.state,
        json_attributes_template=_attributes("problems"),
    )
    device.add(
        "binary_sensor",
        "clock",
        "Clock",
        icon="mdi:clock-alert-outline",
        entity_category="diagnostic",
        device_class="problem",
        state_topic=topics.state,
        value_template="{{ 'OFF' if value_json.clock.ok else 'ON' }}",
    )


def _attributes(*keys: str) -> str:
    inner = ", ".join(f"'{key}': value_json.{key}" for key in keys)
    return f"{{{{ {{{inner}}} | tojson }}}}"
