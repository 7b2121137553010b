"""Between the slots and the world: hands shots to the workers, tells what they came to. Owned by the control thread.

Fulfils :class:`edge_service.flights.Outlook`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from edge_service import replies
from edge_service.capture import Order
from edge_service.conditions import OFFLINE_AFTER
from edge_service.fates import Fate
from edge_service.frame import EXTENSIONS
from edge_service.name_template import Named, fill

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from edge_service.capture import Stamp
    from edge_service.desk import Ticket
    from edge_service.frame import Frame, Picture
    from edge_service.messages import Shot, ShotDone
    from edge_service.ports import LedgerStore, PathFor
    from edge_service.replies import Outcome
    from edge_service.settings import CameraSettings, Settings

_EVENTS = {Fate.KEPT: "captured", Fate.REJECTED: "rejected", Fate.FAILED: "failed"}


class Telling(Protocol):
    """Where the news go."""

    def event(self, camera: str | None, event_type: str, now: datetime, /, **facts: object) -> None:
        """Send an event."""

    def changed(self, camera: str | None) -> None:
        """The state of a camera (None: the node) is another now."""

    def wants_picture(self, camera: str, *, at_once: bool) -> bool:
        """Whether the next frame of a camera needs its small copy at once."""

    def picture(self, camera: str, jpeg: bytes, *, at_once: bool) -> None:
        """The latest good picture."""

    def passed_over(self, camera: str, frame: Frame) -> None:
        """The latest good frame has no small copy yet."""

    def status(self, camera: str, *, online: bool) -> None:
        """Whether a camera answers."""


@dataclass(slots=True)
class Condition:
    """What the control keeps of one camera beside the database."""

    failures: int = 0
    rejections: int = 0
    last_error: str | None = None

    @property
    def offline(self) -> bool:
        """Three failed slots in a row."""
        return self.failures >= OFFLINE_AFTER


@dataclass(slots=True)
class _Asked:
    """A capture command under way: who asked, which cameras are still out, what came so far."""

    ticket: Ticket
    open: set[str]
    results: dict[str, dict[str, object]] = field(default_factory=dict)


class Shots:
    """One object; ``settings`` gives what is in force."""

    def __init__(
        self,
        settings: Callable[[], Settings],
        ledger: LedgerStore,
        telling: Telling,
        *,
        submit: Callable[[Order], None],
        let_begin: Callable[[], None] = lambda: None,
        refuse: Callable[[], str | None],
        kept: Callable[[Frame], None],
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._telling = telling
        self._submit = submit
        self._let_begin = let_begin
        self._refuse = refuse
        self._kept = kept
        self._orders: list[Order] = []
        self._asked: list[_Asked] = []
        self.conditions: dict[str, Condition] = {}
        self.last_activity_at: datetime | None = None

    def start(self) -> None:
        """Take up what the database remembers."""
        for name, record in self._ledger.cameras().items():
            self.conditions[name] = Condition(failures=record.failures, last_error=record.last_error)

    def condition(self, camera: str) -> Condition:
        """The condition of a camera."""
        return self.conditions.setdefault(camera, Condition())

    # --- what the slots ask ---------------------------------------------------------------------------------------

    def refuse_reason(self) -> str | None:
        """disk_full or spool_full while no frame may be kept."""
        return self._refuse()

    def launch(self, shot: Shot, camera: CameraSettings, interval_s: float | None) -> None:
        """Make a shot ready for the workers, with the name that its frame will get; see :meth:`hand_over`."""
        preview = self._telling.wants_picture(shot.camera, at_once=shot.slot is None)
        self._orders.append(Order(shot, camera, interval_s, self._namer(), preview))

    def hand_over(self) -> bool:
        """Give what is ready to the workers, all of a moment together; True when there was any.

        One by one the first worker would take the processor from the cameras that come after it.
        """
        orders, self._orders = self._orders, []
        for order in orders:
            self._submit(order)
        if any(order.shot.slot is None for order in orders):
            self._let_begin()  # somebody asked for it now
        return bool(orders)

    def _namer(self) -> Callable[[Shot, Picture, Stamp], PathFor]:
        settings = self._settings()

        def name(shot: Shot, picture: Picture, stamp: Stamp) -> PathFor:
            at = shot.slot.at if shot.slot else stamp.wall
            if stamp.unsure:
                return lambda _number: ""
            return lambda number: remote_path(settings, shot.camera, at, number, picture.format)

        return name

    def settled(self, done: ShotDone, now: datetime) -> None:
        """A slot or an extra frame has its final result."""
        camera, shot = done.shot.camera, done.shot
        self.last_activity_at = done.at
        if done.frame is not None:
            self._kept(done.frame)
        else:
            self._ledger.note_result(camera, done.fate, done.reason, done.detail, extra=shot.slot is None)
        if shot.slot is not None or done.fate is not Fate.FAILED:
            self._judge(camera, done, now)
        self._tell(camera, done, now)
        if shot.slot is None:
            self._tick_off(camera, done, now)

    def _judge(self, camera: str, done: ShotDone, now: datetime) -> None:
        """Failures and rejections in a row, and whether the camera answers."""
        condition = self.condition(camera)
        was = condition.offline
        if done.fate is Fate.FAILED:
            condition.failures += 1
        elif done.fate is not Fate.SKIPPED:
            condition.failures = 0
            condition.rejections = condition.rejections + 1 if done.fate is Fate.REJECTED else 0
        condition.last_error = done.detail or None if done.fate is not Fate.KEPT else None
        if condition.offline is not was:
            self._telling.status(camera, online=was)
            self._telling.event(camera, "online" if was else "offline", now)

    def _tell(self, camera: str, done: ShotDone, now: datetime) -> None:
        event = _EVENTS.get(done.fate)
        slot = done.shot.slot
        if event is not None:
            facts: dict[str, object] = {"slot": slot.at if slot else None, "reason": done.reason or None}
            if done.frame is not None:
                facts |= frame_facts(done.frame)
            else:
                facts["message"] = done.detail or None
            self._telling.event(camera, event, done.at or now, **facts)
        if done.preview is not None:
            self._telling.picture(camera, done.preview, at_once=slot is None)
        elif done.frame is not None:
            self._telling.passed_over(camera, done.frame)
        self._telling.changed(camera)
        self._telling.changed(None)

    # --- captures by command ----------------------------------------------------------------------------------------

    def asked(self, ticket: Ticket, cameras: list[str]) -> None:
        """Extra frames of these cameras are under way for this command."""
        self._asked.append(_Asked(ticket, set(cameras)))

    def _tick_off(self, camera: str, done: ShotDone, now: datetime) -> None:
        for asked in [each for each in self._asked if camera in each.open]:
            asked.open.discard(camera)
            asked.results[camera] = _result(done)
            if not asked.open:
                self._asked.remove(asked)
                asked.ticket.done(_outcome(asked.results), now)


def _result(done: ShotDone) -> dict[str, object]:
    result: dict[str, object] = {"result": done.fate.value, "reason": done.reason or None}
    if done.frame is not None:
        result |= frame_facts(done.frame)
    return result


def _outcome(results: dict[str, dict[str, object]]) -> Outcome:
    missed = {camera: result for camera, result in results.items() if result["result"] != Fate.KEPT}
    data: dict[str, object] = dict(next(iter(results.values()))) if len(results) == 1 else {}
    data["cameras"] = results
    if not missed:
        return replies.done_well(data)
    named = ", ".join(f"{camera} {result['result']} ({result['reason']})" for camera, result in missed.items())
    return replies.error("unreachable", f"no frame was kept: {named}", data=data)


def frame_facts(frame: Frame) -> dict[str, object]:
    """A frame as events and C/state show it."""
    return {
        "file": frame.path or None,
        "bytes": frame.bytes,
        "width": frame.width,
        "height": frame.height,
        "sha256": frame.sha256,
    }


def name_of(settings: Settings, frame: Frame) -> str:
    """The full path that a kept frame would get by the settings in force."""
    return remote_path(settings, frame.camera, frame.at, frame.number, frame.format)


def remote_path(settings: Settings, camera: str, at: datetime, number: int, picture_format: str) -> str:
    """The full path of a frame at the destination by the settings in force."""
    destination = settings.destination
    name = fill(destination.name, Named(settings.node, camera, at, settings.zone, number))
    return f"{destination.folder.rstrip('/')}/{name}.{EXTENSIONS[picture_format]}"
