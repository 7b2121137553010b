"""What the verbs do, one method each: given a command, change something, say how it went. Owned by the control thread.

Handlers for :class:`edge_service.desk.Desk`. A verb that needs the network runs as an errand and answers later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, cast

from edge_service import replies
from edge_service.configuration import ConflictError
from edge_service.errors import Fault, SettingsError
from edge_service.explain import MOST_GAPS, Question, explain, period
from edge_service.local_time import as_local
from edge_service.plan import Plan
from edge_service.setting_types import Text
from edge_service.topics import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from edge_service.arguments import CameraChoice, Patch, Period, Switch, Value
    from edge_service.commands import Command
    from edge_service.configuration import Configuration
    from edge_service.desk import Ticket
    from edge_service.news import News
    from edge_service.patches import PatchResult
    from edge_service.ports import LedgerStore
    from edge_service.replies import Outcome
    from edge_service.shots import Shots
    from edge_service.slots import Slots

    Handler = Callable[[Command, Ticket, datetime], Outcome | None]


MOST_GAPS_OF_ALL: Final = 2000
"""Gaps in one answer for all cameras: it must fit a packet of 1 MB."""


class Reach(Protocol):
    """What deeds move beyond the slots: the delivery, the settings' users."""

    def retry_delivery(self, ticket: Ticket) -> None:
        """Try to deliver now; the ticket is done when that try ended."""

    def apply(self, changed: tuple[str, ...], now: datetime) -> None:
        """Settings changed: everybody who uses them takes them up."""

    def unlink(self, ticket: Ticket, now: datetime) -> Outcome | None:
        """Revoke and forget the Dropbox sign-in."""

    def open_sign_in(self, ticket: Ticket, now: datetime) -> Outcome | None:
        """Open a sign-in."""

    def take_code(self, code: str, ticket: Ticket, now: datetime) -> Outcome | None:
        """Finish a sign-in with a pasted code."""

    def reset(self, now: datetime, then: Callable[[datetime], None]) -> bool:
        """Forget sign-ins, the link and command ids; True when ``then`` is called at the end."""


class Deeds:
    """All handlers."""

    def __init__(
        self,
        configuration: Configuration,
        slots: Slots,
        shots: Shots,
        news: News,
        ledger: LedgerStore,
        reach: Reach,
    ) -> None:
        self._configuration = configuration
        self._slots = slots
        self._shots = shots
        self._news = news
        self._ledger = ledger
        self._reach = reach

    def handlers(self) -> Mapping[tuple[Kind, str], Handler]:
        """By kind of topic and verb or key."""
        verbs: dict[str, Handler] = {
            "start": self.start,
            "stop": self.stop,
            "capture": self.capture,
            "config": self.config,
            "link": self.link,
            "code": self.code,
            "unlink": self.unlink,
            "retry": self.retry,
            "announce": self.announce,
            "explain": self.explain,
            "reset": self.reset,
            "forget": self.forget,
        }
        keys: dict[str, Handler] = {
            "capture": self.switch,
            "log_level": self.set_value,
            "folder": self.set_value,
            "interval": self.set_value,
            "source": self.set_value,
        }
        return {(Kind.CMD, verb): handler for verb, handler in verbs.items()} | {
            (Kind.SET, key): handler for key, handler in keys.items()
        }

    # --- capture ---

    def start(self, command: Command, _ticket: Ticket, now: datetime) -> Outcome:
        """Capture goes on: of one camera, or of the node."""
        return self._switch(command.addressed, on=True, now=now)

    def stop(self, command: Command, _ticket: Ticket, now: datetime) -> Outcome:
        """Capture stops; uploads go on."""
        return self._switch(command.addressed, on=False, now=now)

    def switch(self, command: Command, _ticket: Ticket, now: datetime) -> Outcome:
        """set/capture."""
        return self._switch(command.addressed, on=cast("Switch", command.arguments).on, now=now)

    def _switch(self, camera: str | None, *, on: bool, now: datetime) -> Outcome:
        was = not (self._slots.node_halted if camera is None else self._slots.camera_halted(camera))
        if on and not was:
            self._slots.resume(camera, now)
        elif was and not on:
            self._slots.halt(camera, now)
        if was is not on:
            facts = {} if camera is None else {"camera": camera}
            self._news.event(None, "capture_started" if on else "capture_stopped", now, **facts)
        for each in self._configuration.settings.cameras if camera is None else (camera,):
            self._news.changed(each)
        return replies.done_well({"capture": "running" if on else "stopped"})

    def capture(self, command: Command, ticket: Ticket, now: datetime) -> Outcome:
        """A frame now, of one camera or of all, running or not."""
        every = list(self._configuration.settings.cameras)
        if not every:
            fault = Fault("camera", "not_allowed", "no camera is configured", "a configured camera")
            return replies.error("unknown_camera", fault.message, (fault,))
        wanted = [command.camera] if command.camera else every
        free = [camera for camera in wanted if self._slots.may_extra(camera)]
        if not free:
            return replies.error("busy", "a capture is under way already")
        outcome = replies.accepted({"cameras": free})
        ticket.accept(outcome, now)
        self._shots.asked(ticket, free)
        for camera in free:
            self._slots.take_extra(camera)
        self._shots.hand_over()  # the answer is kept already; it need not be out for the cameras to be asked
        return outcome

    # --- settings ---

    def config(self, command: Command, _ticket: Ticket, now: datetime) -> Outcome:
        """cmd/config: all or nothing."""
        asked = cast("Patch", command.arguments)
        return self._patch(asked.patch, now, if_rev=asked.if_rev, dry_run=asked.dry_run)

    def set_value(self, command: Command, _ticket: Ticket, now: datetime) -> Outcome:
        """set/<key>: one scalar of the settings, judged like a line of the file."""
        value = cast("Value", command.arguments).value
        meant = Text(value) if isinstance(value, str) and command.key == "interval" else value
        key = str(command.key)
        if command.addressed is not None:
            patch: dict[str, object] = {key: meant}
            if key == "interval" and self._configuration.settings.cameras[command.addressed].at is not None:
                patch["at"] = None
            return self._patch({"cameras": {command.addressed: patch}}, now)
        section = {"log_level": {"log": {"level": meant}}, "folder": {"destination": {"folder": meant}}}
        return self._patch(section[key], now)

    def _patch(
        self, patch: Mapping[str, object], now: datetime, *, if_rev: int | None = None, dry_run: bool = False
    ) -> Outcome:
        try:
            result = self._configuration.try_patch(patch, if_rev)
        except ConflictError as error:
            return replies.error("conflict", error.message)
        except SettingsError as error:
            return _invalid(error)
        if not dry_run:
            self._configuration.adopt(result)
            if result.changed:
                self._reach.apply(result.changed, now)
        return replies.done_well(self._told(result, now))

    def _told(self, result: PatchResult, now: datetime) -> dict[str, object]:
        settings = result.settings
        barren = [
            camera
            for camera, its in settings.cameras.items()
            if Plan.of(its, settings.zone, settings.location).no_slots(now)
        ]
        warnings = [*(fault.line() for fault in result.loaded.warnings), *(f"cameras.{c}: no_slots" for c in barren)]
        return {"changed": list(result.changed), "dropped": list(result.dropped), "warnings": warnings}

    def reset(self, _command: Command, ticket: Ticket, now: datetime) -> Outcome | None:
        """Stopped, unlinked, changes and ids forgotten; the file, ledger, receipts and waiting frames stay."""
        try:
            self._configuration.without_changes()
        except SettingsError as error:
            return _invalid(error)
        self._switch(None, on=False, now=now)
        told: dict[str, object] = {}
        later = self._reach.reset(now, lambda at: ticket.answer(replies.done_well(told), at))
        changed = self._configuration.forget_changes()
        if changed:
            self._reach.apply(changed, now)
        told["changed"] = list(changed)
        return None if later else replies.done_well(told)

    def forget(self, command: Command, _ticket: Ticket, now: datetime) -> Outcome:
        """Clear what is retained for a camera that is no longer configured."""
        del now
        camera = str(cast("CameraChoice", command.arguments).camera)
        if camera in self._configuration.settings.cameras:
            return replies.error("busy", f"{camera} is configured: remove it first")
        self._news.forget_camera(camera)
        return replies.done_well({"camera": camera})

    def announce(self, _command: Command, _ticket: Ticket, now: datetime) -> Outcome:
        """Announcements and states anew."""
        self._news.all_again(now)
        return replies.done_well()

    # --- delivery ---

    def retry(self, _command: Command, ticket: Ticket, now: datetime) -> Outcome:
        """Deliver now."""
        outcome = replies.accepted()
        ticket.accept(outcome, now)
        self._reach.retry_delivery(ticket)
        return outcome

    def link(self, _command: Command, ticket: Ticket, now: datetime) -> Outcome | None:
        """Open a sign-in."""
        return self._reach.open_sign_in(ticket, now)

    def code(self, command: Command, ticket: Ticket, now: datetime) -> Outcome | None:
        """Finish a sign-in."""
        return self._reach.take_code(str(getattr(command.arguments, "code", "")), ticket, now)

    def unlink(self, _command: Command, ticket: Ticket, now: datetime) -> Outcome | None:
        """Revoke and forget."""
        return self._reach.unlink(ticket, now)

    # --- questions ---

    def explain(self, command: Command, _ticket: Ticket, now: datetime) -> Outcome:
        """What became of the slots of a period."""
        asked = cast("Period", command.arguments)
        zone = self._configuration.settings.zone
        since, until = (None if each is None else as_local(each, zone) for each in (asked.begin, asked.end))
        begin, end = period(since, until, now, zone)
        if begin > end:
            text = "to lies before from"
            return replies.error("bad_request", text, (Fault("to", "too_small", text, "a time after from"),))
        known = list(self._configuration.settings.cameras)
        ever = {*known, *self._ledger.cameras()}
        if asked.camera is not None and asked.camera not in ever:
            text = f'there was never a camera "{asked.camera}"'
            fault = Fault("camera", "not_allowed", text, " ".join(sorted(ever))[:1024], asked.camera)
            return replies.error("unknown_camera", text, (fault,))
        most = min(MOST_GAPS, MOST_GAPS_OF_ALL // max(1, len(known)))
        question = Question(begin, end, now, running=True, most=MOST_GAPS if asked.camera else most)
        if asked.camera is not None:
            return replies.done_well(explain(self._ledger, asked.camera, question).payload(zone))
        answers = {camera: explain(self._ledger, camera, question).payload(zone) for camera in known}
        return replies.done_well({"cameras": answers})


def _invalid(error: SettingsError) -> Outcome:
    codes = {fault.code for fault in error.faults}
    code = "unknown_key" if codes == {"unknown_key"} else "forbidden" if "forbidden" in codes else "invalid"
    return replies.error(code, error.faults[0].line(), error.faults)
