"""Home Assistant device discovery: what all announcements share. Pure; when they are sent is not decided here.

Facts: Home Assistant 2026.11 (device based discovery). An announcement is one JSON object per device; an entity that is
no longer wanted stands in it as nothing but its platform, which removes it; an empty payload removes the device.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from edge_service import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge_service.topics import Topics

MAKER: Final = "edge_service"

Entity = dict[str, object]


def reads(path: str) -> str:
    """The template that shows what stands at ``path`` of a JSON payload."""
    return f"{{{{ value_json.{path} }}}}"


def scaled(path: str, factor: str, digits: int) -> str:
    """The same as a rounded number, ``factor`` applied (``* 100``, ``/ 1000``); none where there is none."""
    value = f"value_json.{path}"
    return f"{{{{ ({value} {factor}) | round({digits}) if {value} is not none else None }}}}"


def attributes(*keys: str, **renamed: str) -> str:
    """The template that makes attributes of a JSON payload's keys, some under another name."""
    paths = {key: key for key in keys} | renamed
    inner = ", ".join(f"'{name}': value_json.{path}" for name, path in paths.items())
    return f"{{{{ {{{inner}}} | tojson }}}}"


@dataclass(slots=True)
class Device:
    """Gathers the entities of one device; ``camera`` None is the node itself."""

    topics: Topics
    camera: str | None = None
    entities: dict[str, Entity] = field(default_factory=dict)

    @property
    def state(self) -> str:
        """B/state or C/state: what most entities show."""
        return self.topics.state if self.camera is None else self.topics.camera_state(self.camera)

    def add(self, platform: str, key: str, name: str, /, **options: object) -> None:
        """An entity; options that are None are left out (Home Assistant does not take null)."""
        slug = self.topics.slug(self.camera)
        entity: Entity = {
            "platform": platform,
            "unique_id": f"{slug}__{key}",
            "default_entity_id": f"{platform}.{self.entity_id(key)}",
            "name": name,
        }
        entity |= {option: value for option, value in options.items() if value is not None}
        self.entities[key] = entity

    def sensor(self, key: str, name: str, template: str, /, **options: object) -> None:
        """A sensor that shows what ``template`` makes of the state, or of another ``state_topic``."""
        self.add("sensor", key, name, **{"state_topic": self.state, "value_template": template, **options})

    def moment(self, key: str, name: str, path: str, /, **options: object) -> None:
        """A sensor that shows a moment of the state."""
        self.sensor(key, name, reads(path), device_class="timestamp", **options)

    def capture_switch(self) -> None:
        """Capture of the node or of the camera, on or off."""
        self.add(
            "switch",
            "capture",
            "Capture",
            icon="mdi:camera-timer",
            command_topic=self.topics.set("capture", self.camera),
            state_topic=self.state,
            value_template="{{ 'ON' if value_json.capture == 'running' else 'OFF' }}",
        )

    def problem(self) -> None:
        """On while there is a problem; the codes are its attribute."""
        self.add(
            "binary_sensor",
            "problem",
            "Problem",
            entity_category="diagnostic",
            device_class="problem",
            state_topic=self.state,
            value_template="{{ 'ON' if value_json.problems else 'OFF' }}",
            json_attributes_topic=self.state,
            json_attributes_template=attributes("problems"),
        )

    def leave_out(self, platform: str, key: str) -> None:
        """An entity that another configuration has: removed where it is known."""
        self.entities[key] = {"platform": platform}

    def entity_id(self, key: str) -> str:
        """The object part of the entity's first id: node, camera, key."""
        parts = (self.topics.node, self.camera, key) if self.camera else (self.topics.node, key)
        return "_".join(str(part) for part in parts).replace("-", "_")

    def announcement(self, device: Mapping[str, object]) -> Entity:
        """The payload; available is what B/status says, and nothing else."""
        return {
            "device": {"identifiers": [self.topics.slug(self.camera)], "manufacturer": MAKER, **device},
            "origin": {"name": MAKER, "sw_version": __version__},
            "availability": [{"topic": self.topics.status}],
            "qos": 1,
            "components": self.entities,
        }
