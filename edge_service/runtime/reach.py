"""What commands move beyond the slots (:class:`edge_service.deeds.Reach`): users of settings, the link."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from edge_service.batching import Pace
from edge_service.log_text import formatter_for
from edge_service.redaction import secret_values
from edge_service.retention import SpoolLimits
from edge_service.runtime.destination import link_report, make_destination

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from edge_service.desk import Ticket
    from edge_service.link import SignIn
    from edge_service.replies import Outcome
    from edge_service.runtime.parts import Parts


def learn_secrets(parts: Parts) -> None:
    """What is secret in the settings in force shall not appear in logs."""
    if parts.mask is not None:
        parts.mask.learn(secret_values(parts.configuration.settings))


def bound_quarantine(parts: Parts) -> None:
    """How much may be set aside."""
    spool = parts.configuration.settings.spool
    parts.store.quarantine.bound(spool.quarantine_max_bytes, spool.min_free_bytes)


class Reach:
    """Called by the control thread."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    # --- settings ---

    def apply(self, changed: tuple[str, ...], now: datetime) -> None:
        """Everybody who uses a changed setting takes it up."""
        parts, settings = self._parts, self._parts.configuration.settings
        learn_secrets(parts)
        tops = {path.partition(".")[0] for path in changed}
        if tops & {"log", "timezone"}:
            self._apply_log()
        if tops & {"timezone", "location"}:
            parts.slots.move(settings.zone, settings.location, now)
            for name in settings.cameras:
                parts.news.changed(name)
        if "cameras" in tops:
            self._apply_cameras(changed, now)
        if tops & {"destination", "upload"}:
            parts.destination.close()
            parts.delivery_events.linked(link_report(parts), now)
            parts.destination = make_destination(parts)
            parts.lane.use(parts.destination, Pace.of(settings.upload))
        parts.housekeeping.limits = SpoolLimits.of(settings.spool)
        if "spool" in tops:
            bound_quarantine(parts)
        parts.delivery.retry()
        parts.news.announcing.announce()
        parts.news.offer_config()
        parts.news.event(None, "config_changed", now, rev=parts.configuration.rev, changed=list(changed))
        parts.news.changed(None)

    def _apply_log(self) -> None:
        settings, root = self._parts.configuration.settings, logging.getLogger()
        root.setLevel(settings.log.level.upper())
        if self._parts.mask is not None:
            for handler in root.handlers:
                handler.setFormatter(formatter_for(settings.log.format, self._parts.mask, settings.zone))

    def _apply_cameras(self, changed: tuple[str, ...], now: datetime) -> None:
        parts, cameras = self._parts, self._parts.configuration.settings.cameras
        touched = {path.split(".")[1] for path in changed if path.startswith("cameras.")}
        if "cameras" in changed:
            touched |= set(cameras) | set(parts.slots.names())
        for name in sorted(touched):
            parts.source.forget(name)
            if name in cameras:
                parts.slots.put(name, cameras[name], now)
                parts.news.changed(name)
            else:
                parts.slots.remove(name, now)
                parts.news.forget_camera(name)
        parts.broker.listen_to(cameras)
        parts.news.announcing.note_topics()

    # --- delivery and link ---

    def retry_delivery(self, ticket: Ticket) -> None:
        """Try to deliver now."""
        parts = self._parts
        parts.delivery_events.retry_when_reported(ticket)
        parts.lane.report_next()
        parts.room.tokens.retry()
        parts.delivery.retry()

    def unlink(self, ticket: Ticket, now: datetime) -> Outcome | None:
        """Revoke and forget the sign-in."""
        del now
        return self._parts.linking.unlink(self._parts.store.frames.queue().frames, ticket)

    def open_sign_in(self, ticket: Ticket, now: datetime) -> Outcome | None:
        """Open a sign-in."""
        visitors = self._parts.visitors

        def shown(sign_in: SignIn) -> dict[str, object]:
            visitors.keep_port(now)
            return visitors.shown(sign_in)

        return self._parts.linking.open_sign_in(ticket, shown, now)

    def take_code(self, code: str, ticket: Ticket, now: datetime) -> Outcome | None:
        """Finish a sign-in with a pasted code."""
        return self._parts.linking.take_code(code, ticket, now)

    def reset(self, now: datetime, then: Callable[[datetime], None]) -> bool:
        """Forget sign-ins, the link and command ids; True when ``then`` is called at the end."""
        self._parts.store.memory.forget_commands()
        return self._parts.linking.reset(now, then)
