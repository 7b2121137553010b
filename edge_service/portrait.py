"""The payloads of the retained topics as they should be now, made from what the database and the node itself know.

So there is one truth. Nothing is sent here (see news). Owned by the control thread.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from edge_service import __version__, reports
from edge_service.batching import LIVE, Pace, eta_s, opens_in
from edge_service.conditions import CameraFacts, camera_problems, node_problems, sentence
from edge_service.payloads import MAX_BYTES
from edge_service.ports import CameraRecord
from edge_service.redaction import public_config
from edge_service.settings import MOST_CAMERAS
from edge_service.settings_camera import INTERVALS_S
from edge_service.today import due_in_day, is_low, today
from edge_service.url_secrets import redact_url

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date, datetime

    from edge_service.configuration import Configuration
    from edge_service.node import Node
    from edge_service.ports import FrameStore, LedgerStore, QueueSums
    from edge_service.reports import Payload
    from edge_service.settings import Settings
    from edge_service.shots import Shots
    from edge_service.slots import Slots

FEATURES = ("folder", "dropbox", "windows", "sun", "config", "explain")
LIMITS = {
    "cameras": MOST_CAMERAS,
    "interval_min_s": INTERVALS_S[0],
    "interval_max_s": INTERVALS_S[1],
    "command_bytes": MAX_BYTES,
}
_RECORDS_FOR_S = 0.5
"""One read of the cameras' records serves a round of cameras."""


class Portrait:
    """``monotonic`` is for how long a read may serve, ``now`` (an argument) for what stands in the payloads."""

    def __init__(
        self,
        configuration: Configuration,
        node: Node,
        stores: tuple[FrameStore, LedgerStore],
        monotonic: Callable[[], float],
        host: str,
    ) -> None:
        self._configuration = configuration
        self._node = node
        self._frames, self._ledger = stores
        self._monotonic = monotonic
        self._host = host
        self._slots: Slots | None = None
        self._shots: Shots | None = None
        self._records: dict[str, CameraRecord] = {}
        self._records_at = -math.inf
        self.low: set[str] = set()
        """cameras whose last state told that today's completeness is too low"""

    def know(self, slots: Slots, shots: Shots) -> None:
        """Introduce the parts that are told about."""
        self._slots, self._shots = slots, shots

    @property
    def _settings(self) -> Settings:
        return self._configuration.settings

    def info(self) -> Payload:
        """B/info."""
        info = reports.NodeInfo(
            version=__version__,
            started_at=self._node.started_at,
            host=self._host,
            cameras=tuple(self._settings.cameras),
            features=FEATURES,
            limits=LIMITS,
        )
        return info.payload(self._settings.zone)

    def config(self) -> Payload:
        """B/config."""
        return reports.config_payload(self._configuration.rev, public_config(self._settings))

    def link(self) -> Payload:
        """B/link."""
        link = self._node.link
        state = reports.LinkState(
            state=self._node.link_state, account=link.account, scopes=link.scopes, message=link.message
        )
        opened = self._node.sign_in
        payload = state.payload(self._settings.zone)
        return payload if opened is None else {**payload, **opened, "open": True}

    def state(self, now: datetime) -> Payload:
        """B/state."""
        node, queue = self._node, self._frames.queue()
        running = self._slots is None or not self._slots.node_halted
        facts = node.facts(running=running, waiting=queue.frames)
        problems = node_problems(facts, now)
        cameras = {camera: self._problems(camera, low=camera in self.low) for camera in self._settings.cameras}
        state = reports.NodeState(
            running=running,
            message=sentence(facts, problems, cameras),
            link=node.link_state,
            folder=self._settings.destination.folder,
            log_level=self._settings.log.level,
            queue=queue,
            eta_s=self._eta_s(queue, now),
            upload=self._upload(),
            last_activity_at=self._last_activity_at(),
            free_bytes=node.free_bytes,
            disk_low=node.disk_low,
            clock_ok=node.clock_ok,
            clock_offset_s=node.clock_offset_s,
            problems=tuple(problems),
        )
        return state.payload(self._settings.zone, now)

    def _eta_s(self, queue: QueueSums, now: datetime) -> float | None:
        """When the queue will be empty if all goes on as it does; None when nobody can say or it grows."""
        if not queue.frames:
            return 0.0
        pace, speed = Pace.of(self._settings.upload), self._node.bytes_per_s
        if self._node.upload.state in {"blocked", "offline"} or speed is None:
            return None
        if pace.max_bytes_per_second:
            speed = min(speed, pace.max_bytes_per_second)
        old = queue.oldest_at is not None and queue.oldest_at <= now - LIVE
        closed = opens_in(pace.hours, now, self._settings.zone) if old else 0.0
        left = eta_s(queue.bytes, speed, self._arriving(now))
        return None if left is None else closed + left

    def _arriving(self, now: datetime) -> float:
        """Bytes per second that the running cameras add, going by their last frames."""
        if self._slots is None or self._slots.node_halted:
            return 0.0
        total = 0.0
        for camera, record in self._read().items():
            course = self._slots.course(camera)
            if course is None or record.last_frame is None or self._slots.camera_halted(camera):
                continue
            interval = course.plan.interval_at(now) if course.plan.window_open(now) else None
            total += record.last_frame.bytes / interval if interval else 0.0
        return total

    def _upload(self) -> reports.UploadState:
        """The delivery lane, which knows nothing of the time before this start."""
        upload = self._node.upload
        if upload.last_ok_at is not None:
            return upload
        return replace(upload, last_ok_at=max(self._moments("delivered_at"), default=None))

    def _last_activity_at(self) -> datetime | None:
        if self._shots is not None and self._shots.last_activity_at is not None:
            return self._shots.last_activity_at
        return max((*self._moments("captured_at"), *self._moments("delivered_at")), default=None)

    def _moments(self, name: str) -> list[datetime]:
        return [at for record in self._read().values() if (at := getattr(record, name)) is not None]

    def _problems(self, camera: str, *, low: bool) -> list[str]:
        condition = self._shots.condition(camera) if self._shots else None
        course = self._slots.course(camera) if self._slots else None
        return camera_problems(
            CameraFacts(
                failures=condition.failures if condition else 0,
                rejections=condition.rejections if condition else 0,
                offline=condition.offline if condition else False,
                completeness_low=low,
                no_slots=course.no_slots if course else False,
            )
        )

    def camera_state(self, camera: str, now: datetime) -> Payload:
        """C/state."""
        settings, zone = self._settings.cameras[camera], self._settings.zone
        course = self._slots.course(camera) if self._slots else None
        day = today(self._ledger, camera, now, zone)
        low = course is not None and is_low(day.sums, settings.min_completeness, due_in_day(course.plan, now, zone))
        (self.low.add if low else self.low.discard)(camera)
        running = self._slots is None or not self._slots.camera_halted(camera)
        node_running = self._slots is None or not self._slots.node_halted
        state = reports.CameraState(
            name=settings.name or camera,
            running=running,
            node_running=node_running,
            interval_s=settings.interval,
            interval_now_s=course.plan.interval_at(now) if course else None,
            window_open=course.plan.window_open(now) if course else True,
            next_at=course.next_at if course else None,
            source=redact_url(settings.source),
            record=self._read().get(camera, CameraRecord(camera=camera)),
            today=day,
            problems=tuple(self._problems(camera, low=low)),
        )
        return state.payload(zone, now)

    def status(self, camera: str) -> bytes:
        """C/status."""
        offline = self._shots is not None and self._shots.condition(camera).offline
        return reports.OFFLINE if offline else reports.ONLINE

    def hour(self, camera: str, now: datetime) -> tuple[date, bool | None, float | None]:
        """What of a camera's state the clock alone changes: the local day, the window, the interval there."""
        course = self._slots.course(camera) if self._slots else None
        day = now.astimezone(self._settings.zone).date()
        return (day, course.plan.window_open(now), course.plan.interval_at(now)) if course else (day, None, None)

    def look_again(self) -> None:
        """The next payloads are made from a new read."""
        self._records_at = -math.inf

    def _read(self) -> dict[str, CameraRecord]:
        at = self._monotonic()
        if at - self._records_at > _RECORDS_FOR_S:
            self._records, self._records_at = self._ledger.cameras(), at
        return self._records
