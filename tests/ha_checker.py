"""The rules of Home Assistant 2026.11 for device based discovery, as far as our announcements may touch them.

:func:`faults_of` reads one announcement the way Home Assistant would, renders every template with the states that the
node publishes, and names whatever would be refused, dropped or logged. Unknown options count as faults too: Home
Assistant would drop them without a word.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, StrictUndefined, TemplateError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ENVELOPE = {"device", "origin", "components", "availability", "availability_mode", "qos"}
DEVICE = {
    "identifiers",
    "name",
    "manufacturer",
    "model",
    "model_id",
    "hw_version",
    "sw_version",
    "serial_number",
    "suggested_area",
    "configuration_url",
    "via_device",
}
ORIGIN = {"name", "sw_version", "support_url"}
COMMON = {
    "platform",
    "unique_id",
    "default_entity_id",
    "name",
    "icon",
    "entity_category",
    "enabled_by_default",
    "json_attributes_topic",
    "json_attributes_template",
}
OPTIONS = {
    "switch": {"command_topic", "state_topic", "value_template"},
    "button": {"command_topic", "payload_press", "device_class"},
    "number": {
        "command_topic",
        "state_topic",
        "value_template",
        "min",
        "max",
        "step",
        "mode",
        "unit_of_measurement",
        "device_class",
    },
    "text": {"command_topic", "state_topic", "value_template", "min", "max", "mode", "pattern"},
    "select": {"command_topic", "state_topic", "value_template", "options"},
    "sensor": {
        "state_topic",
        "value_template",
        "device_class",
        "state_class",
        "unit_of_measurement",
        "suggested_display_precision",
        "options",
        "expire_after",
    },
    "binary_sensor": {"state_topic", "value_template", "device_class", "payload_on", "payload_off", "expire_after"},
    "image": {"image_topic", "content_type"},
    "event": {"state_topic", "value_template", "event_types", "device_class"},
}
REQUIRED = {
    "switch": {"command_topic", "state_topic"},
    "button": {"command_topic"},
    "number": {"command_topic", "state_topic"},
    "text": {"command_topic", "state_topic"},
    "select": {"command_topic", "state_topic", "options"},
    "sensor": {"state_topic"},
    "binary_sensor": {"state_topic"},
    "image": {"image_topic"},
    "event": {"state_topic", "event_types"},
}
CLASSES: dict[str, dict[str, set[str] | None]] = {
    "sensor": {
        "timestamp": None,
        "enum": None,
        "duration": {"d", "h", "min", "s", "ms"},
        "data_size": {"B", "kB", "MB", "GB", "TB", "KiB", "MiB", "GiB"},
    },
    "number": {"duration": {"d", "h", "min", "s", "ms"}, "data_size": {"B", "kB", "MB", "GB"}},
    "binary_sensor": {"problem": None, "connectivity": None, "running": None},
    "button": {"identify": None, "restart": None, "update": None},
    "event": {"doorbell": None, "button": None, "motion": None},
}
STATE_CLASSES = {"measurement", "total", "total_increasing"}
CATEGORIES = {"config", "diagnostic"}
DROPPED_ATTRIBUTES = {
    "friendly_name",
    "icon",
    "state",
    "device_class",
    "unit_of_measurement",
    "entity_picture",
    "unique_id",
}
VOLATILE_ATTRIBUTES = {"at", "uptime_s", "queue", "counts"}
LEVEL = re.compile(r"[a-zA-Z0-9_-]+")
COMPONENT_KEY = re.compile(r"[a-z0-9_-]+")
OBJECT_ID = re.compile(r"(?!.*__)[a-z0-9](?:[a-z0-9_]*[a-z0-9])?")
LONGEST_STATE = 255

_JINJA = Environment(undefined=StrictUndefined, autoescape=False)  # noqa: S701 -- no HTML is made


@dataclass
class Registry:
    """What Home Assistant already has: ids must not come twice, in any device."""

    unique_ids: set[tuple[str, str]] = field(default_factory=set)
    entity_ids: set[str] = field(default_factory=set)
    identifiers: set[str] = field(default_factory=set)


def faults_of(
    topic: str, payload: bytes, states: Mapping[str, Sequence[bytes]], registry: Registry | None = None
) -> list[str]:
    """Everything that is wrong with one announcement, given what is published on each topic."""
    registry = registry or Registry()
    return [
        *_topic(topic),
        *_envelope(json.loads(payload), registry),
        *(
            f"{key}: {fault}"
            for key, entity in json.loads(payload)["components"].items()
            for fault in _entity(key, entity, states, registry)
        ),
    ]


def _topic(topic: str) -> Iterator[str]:
    levels = topic.split("/")
    if levels[-1] != "config" or levels[-3] != "device" or not LEVEL.fullmatch(levels[-2]):
        yield f"illegal discovery topic {topic}"


def _envelope(payload: dict[str, Any], registry: Registry) -> Iterator[str]:
    yield from (f"unknown key {key}" for key in payload.keys() - ENVELOPE)
    yield from (f"{key} is missing" for key in ("device", "origin", "components") if not payload.get(key))
    yield from _device(payload["device"], payload["origin"], registry)
    available = payload.get("availability", [])
    if any(one.keys() - {"topic"} or not one["topic"] for one in available):
        yield "availability"
    if len(available) > 1 and payload.get("availability_mode") != "all":
        yield "several availability topics without mode all"
    if payload.get("qos") not in (0, 1, 2):
        yield "qos"


def _device(device: dict[str, Any], origin: dict[str, Any], registry: Registry) -> Iterator[str]:
    yield from (f"device: unknown key {key}" for key in device.keys() - DEVICE)
    yield from (f"origin: unknown key {key}" for key in origin.keys() - ORIGIN)
    values = [*device.values(), *origin.values()]
    if not all(isinstance(value, str) or (isinstance(value, list) and value) for value in values):
        yield "device and origin take texts and filled lists only"
    if not device.get("name") or not origin.get("name"):
        yield "device and origin need a name"
    for identifier in device.get("identifiers", []):
        if identifier in registry.identifiers:
            yield f"identifier {identifier} twice"
        registry.identifiers.add(identifier)
    if not device.get("identifiers"):
        yield "no identifiers"
    via = device.get("via_device")
    if via is not None and via not in registry.identifiers:
        yield f"via_device {via} was not announced before"
    if not str(device.get("configuration_url", "http://")).startswith(("http://", "https://")):
        yield "configuration_url"


def _entity(
    key: str, entity: dict[str, Any], states: Mapping[str, Sequence[bytes]], registry: Registry
) -> Iterator[str]:
    platform = entity.get("platform")
    if platform not in OPTIONS:
        yield f"platform {platform}"
        return
    if not COMPONENT_KEY.fullmatch(key):
        yield "component key"
    if entity.keys() == {"platform"}:
        return
    yield from (f"unknown option {one}" for one in entity.keys() - COMMON - OPTIONS[platform])
    yield from (f"{one} is missing" for one in (REQUIRED[platform] | {"unique_id", "name"}) - entity.keys())
    yield from (f"{one} is null" for one, value in entity.items() if value is None)
    yield from _ids(platform, entity, registry)
    yield from _looks(platform, entity)
    yield from _limits(platform, entity)
    for one, value in entity.items():
        if one.endswith("_topic") and (not value or set(value) & {"+", "#", "\0"}):
            yield f"{one} {value}"
    yield from _states(platform, entity, states)


def _ids(platform: str, entity: dict[str, Any], registry: Registry) -> Iterator[str]:
    unique = (platform, entity.get("unique_id", ""))
    if unique in registry.unique_ids:
        yield f"unique_id {unique[1]} twice"
    registry.unique_ids.add(unique)
    entity_id = entity.get("default_entity_id", "")
    domain, _, rest = entity_id.partition(".")
    if domain != platform or not OBJECT_ID.fullmatch(rest) or len(entity_id) > LONGEST_STATE:
        yield f"default_entity_id {entity_id}"
    if entity_id in registry.entity_ids:
        yield f"default_entity_id {entity_id} twice"
    registry.entity_ids.add(entity_id)


def _looks(platform: str, entity: dict[str, Any]) -> Iterator[str]:
    category = entity.get("entity_category")
    if category is not None and category not in CATEGORIES:
        yield f"entity_category {category}"
    if category == "config" and platform in ("sensor", "binary_sensor", "event", "image"):
        yield "a reading is no config"
    if not re.fullmatch(r"mdi:[a-z0-9-]+", entity.get("icon", "mdi:x")):
        yield f"icon {entity['icon']}"
    if not isinstance(entity.get("enabled_by_default", True), bool):
        yield "enabled_by_default"
    known = CLASSES.get(platform, {})
    device_class = entity.get("device_class")
    if device_class is None:
        return
    if device_class not in known:
        yield f"device_class {device_class}"
        return
    units = known[device_class]
    if units is not None and entity.get("unit_of_measurement") not in units:
        yield f"unit {entity.get('unit_of_measurement')} for {device_class}"
    if units is None and {"unit_of_measurement", "state_class"} & entity.keys():
        yield f"{device_class} has no unit and no state class"


def _limits(platform: str, entity: dict[str, Any]) -> Iterator[str]:
    if entity.get("state_class", "measurement") not in STATE_CLASSES:
        yield "state_class"
    if "options" in entity and platform == "sensor" and entity.get("device_class") != "enum":
        yield "options need device_class enum"
    for one in ("options", "event_types"):
        values = entity.get(one, ["x"])
        if not values or len(set(values)) != len(values):
            yield f"{one} empty or twice"
    if platform == "number" and not (entity.get("min", 0) < entity.get("max", 100) and entity.get("step", 1) >= 0.001):
        yield "number limits"
    if platform == "text" and not 0 <= entity.get("min", 0) <= entity.get("max", 255) <= LONGEST_STATE:
        yield "text limits"
    if platform == "image" and not entity.get("content_type", "image/jpeg").startswith("image/"):
        yield "content_type"


def _states(platform: str, entity: dict[str, Any], states: Mapping[str, Sequence[bytes]]) -> Iterator[str]:
    for option, template in (("state_topic", "value_template"), ("json_attributes_topic", "json_attributes_template")):
        topic = entity.get(option)
        if topic is None:
            continue
        if topic not in states:
            yield f"nothing is published on {topic}"
        for body in states.get(topic, ()):
            try:
                text = _render(entity.get(template), body)
                found = list(_attributes(text) if option.startswith("json") else _value(platform, entity, text))
            except (TemplateError, TypeError, ValueError) as error:
                yield f"{template}: {error!r}"
                continue
            yield from (f"{template} gave {text[:60]!r}: {fault}" for fault in found)


def _render(template: str | None, body: bytes) -> str:
    text = body.decode()
    if template is None:
        return text
    facts: dict[str, Any] = {"value": text}
    if text[:1] in "{[":
        facts["value_json"] = json.loads(text)
    return str(_JINJA.from_string(template).render(facts)).strip()


def _attributes(text: str) -> Iterator[str]:
    found = json.loads(text)
    if not isinstance(found, dict):
        yield "attributes are no object"
        return
    yield from (f"attribute {key} is dropped" for key in found.keys() & DROPPED_ATTRIBUTES)
    yield from (f"attribute {key} changes all the time" for key in found.keys() & VOLATILE_ATTRIBUTES)
    if len(text) > 16_384:
        yield "attributes are too large for the recorder"


def _value(platform: str, entity: dict[str, Any], text: str) -> Iterator[str]:
    match platform:
        case "switch" if text not in ("ON", "OFF"):
            yield "neither ON nor OFF"
        case "binary_sensor" if text not in (entity.get("payload_on", "ON"), entity.get("payload_off", "OFF")):
            yield "neither on nor off"
        case "number" if text != "None" and not entity.get("min", 0) <= float(text) <= entity.get("max", 100):
            yield "out of range"
        case "select" if text not in entity["options"]:
            yield "no option"
        case "text" if text == "None" or not entity.get("min", 0) <= len(text) <= entity.get("max", 255):
            yield "no fit text"
        case "event":
            yield from _event(entity, text)
        case "sensor":
            yield from _reading(entity, text)


def _event(entity: dict[str, Any], text: str) -> Iterator[str]:
    found = json.loads(text)
    if not isinstance(found, dict) or found.get("event_type") not in entity["event_types"]:
        yield "no event of the list"


def _reading(entity: dict[str, Any], text: str) -> Iterator[str]:
    if len(text) > LONGEST_STATE:
        yield "longer than a state"
    if text == "None":
        return
    device_class = entity.get("device_class")
    if device_class == "enum" and text not in entity["options"]:
        yield "not one of the options"
    if device_class == "timestamp" and datetime.fromisoformat(text).tzinfo is None:
        yield "no offset"
    if {"unit_of_measurement", "state_class", "suggested_display_precision"} & entity.keys():
        float(text)
