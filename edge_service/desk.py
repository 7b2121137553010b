"""The desk: every command in, exactly one answer out. Owned by the control thread.

What a verb does is its handler's affair; this module keeps the rules that hold for all of them: a repeat is answered
from memory and has no second effect, a refusal changes nothing, the changed state is published before the answer.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Protocol

from edge_service import replies
from edge_service.commands import Command, Refusal, parse
from edge_service.errors import PersonNeededError, TryAgainError
from edge_service.ports import Outbound, RememberedCommand
from edge_service.topics import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping
    from datetime import datetime

    from edge_service.commands import Question
    from edge_service.messages import Inbound
    from edge_service.ports import Memory
    from edge_service.replies import Answer, Outcome
    from edge_service.topics import Topics


log = logging.getLogger(__name__)

_MOST_UNWRITTEN: Final = 1000


class Front(Protocol):
    """What the desk asks of the control: the way out, and what stands on every answer."""

    def publish(self, message: Outbound) -> object:
        """Send one message."""

    def event(self, camera: str | None, event_type: str, now: datetime, /, **facts: object) -> None:
        """Send an event."""

    def flush(self, command: Command, now: datetime) -> None:
        """Publish what the command changed (what ``set`` names also when nothing changed)."""

    def show(self, refusal: Refusal, now: datetime) -> None:
        """Publish again what a refused ``set`` would have changed: a dashboard may show what was asked for."""

    def stamp(self, moment: datetime) -> str:
        """A moment as it leaves the program."""

    def rev(self) -> int:
        """The revision of the settings in force."""

    def cameras(self) -> Container[str]:
        """The configured cameras."""


class Ticket:
    """One command on its way to its answer; handlers that need time keep it."""

    def __init__(self, desk: Desk, command: Command) -> None:
        self._desk = desk
        self.command = command
        self.accepted: Answer | None = None

    def accept(self, outcome: Outcome, now: datetime) -> None:
        """Make the answer ``accepted`` durable before the effect begins: a repeat after a crash has no second one."""
        self.accepted = self._desk.compose(self.command, outcome, now)
        self._desk.remember(self.command, self.accepted, now)

    def answer(self, outcome: Outcome, now: datetime) -> None:
        """The answer of a handler that returned None."""
        self._desk.answer(self.command, outcome, now)

    def done(self, outcome: Outcome, now: datetime) -> None:
        """The event ``done`` of an accepted command."""
        self._desk.done(self.command, outcome, now)


class Desk:
    """Parses, remembers, dispatches, answers."""

    def __init__(
        self,
        topics: Topics,
        memory: Memory,
        front: Front,
        handlers: Mapping[tuple[Kind, str], Callable[[Command, Ticket, datetime], Outcome | None]],
    ) -> None:
        self._topics = topics
        self._memory = memory
        self._front = front
        self._handlers = handlers
        self._open: dict[str, list[Question]] = {}
        self._unwritten: dict[str, RememberedCommand] = {}

    def take(self, inbound: Inbound, now: datetime) -> None:
        """Deal with one message on a command topic."""
        question = parse(inbound, self._topics, self._front.cameras())
        if question is None:
            return
        if isinstance(question, Refusal) and question.clear:
            self._front.publish(Outbound(question.clear, b"", retain=True))
        if not _is_replay(question) and self._is_repeat(question, now):
            return
        if isinstance(question, Refusal):
            self._front.show(question, now)
            answer = self.compose(question, replies.refused(question), now)
            if question.to_remember:
                self.remember(question, answer, now)
            self._send(question, answer)
        elif isinstance(question, Command):
            self._do(question, now)

    def _is_repeat(self, question: Question, now: datetime) -> bool:
        """True when the id was seen before: answered from memory, or refused as reused."""
        if question.memory_id is None:
            return False
        waiting = self._open.get(question.memory_id)
        before = None if waiting else self._remembered(question.memory_id)
        if not waiting and before is None:
            return False
        digest = waiting[0].digest if waiting else before.digest if before else ""
        if digest != question.digest:
            text = "this id was used before with another topic or payload: use a new one for each command"
            self._send(question, self.compose(question, replies.error("id_reused", text), now))
        elif waiting:
            waiting.append(question)
        elif before:
            self._send(question, dict(before.answer))
        return True

    def _do(self, command: Command, now: datetime) -> None:
        name = command.key if command.kind is Kind.SET else command.verb
        ticket = Ticket(self, command)
        if command.memory_id is not None:
            self._open[command.memory_id] = [command]
        try:
            outcome = self._handlers[command.kind, str(name)](command, ticket, now)
        except (PersonNeededError, TryAgainError) as problem:
            self._failed(command, ticket, problem, now)
            return
        if outcome is not None:
            self.answer(command, outcome, now, ticket.accepted)

    def _failed(
        self, command: Command, ticket: Ticket, problem: PersonNeededError | TryAgainError, now: datetime
    ) -> None:
        """The disk refused what the command would have changed. Not remembered: its id may be tried again."""
        code = problem.code if problem.code in replies.CODES else "internal"
        outcome = replies.error(code, problem.message)
        self.answer(command, outcome, now, ticket.accepted or self.compose(command, outcome, now))
        if ticket.accepted is not None:
            self.done(command, outcome, now)

    def answer(self, command: Command, outcome: Outcome, now: datetime, composed: Answer | None = None) -> None:
        """Publish what changed, remember, answer everybody who asked under this id."""
        self._front.flush(command, now)
        answer = composed or self.compose(command, outcome, now)
        if composed is None:
            self.remember(command, answer, now)
        asked = [command]
        if command.memory_id is not None:
            asked = list(self._open.pop(command.memory_id, asked))  # type: ignore[arg-type]
        for question in asked:
            self._send(question, answer)

    def done(self, command: Command, outcome: Outcome, now: datetime) -> None:
        """Tell the end of an accepted command."""
        facts = {
            "id": command.id,
            "verb": command.verb,
            "camera": command.camera,
            "status": outcome.status,
            "code": outcome.code,
            "message": outcome.message or None,
            "data": None if outcome.data is None else dict(outcome.data),
        }
        if command.id is None:
            del facts["id"]
        self._front.event(None, "done", now, **facts)

    def compose(self, question: Question, outcome: Outcome, now: datetime) -> Answer:
        """The answer's payload."""
        return replies.answer(question, outcome, rev=self._front.rev(), at=self._front.stamp(now))

    def remember(self, question: Question, answer: Answer, now: datetime) -> None:
        """Durable on return; while the disk refuses, remembered by this process only: the effect has taken place."""
        if question.memory_id is None:
            return
        command = RememberedCommand(question.memory_id, question.digest, answer, now)
        try:
            self._memory.remember(command)
        except (PersonNeededError, TryAgainError) as problem:
            log.warning("the answer to a command is not stored: %s", problem.message)
            self._unwritten[command.id] = command
            while len(self._unwritten) > _MOST_UNWRITTEN:
                self._unwritten.pop(next(iter(self._unwritten)))

    def _remembered(self, memory_id: str) -> RememberedCommand | None:
        return self._unwritten.get(memory_id) or self._memory.remembered(memory_id)

    def _send(self, question: Question, answer: Answer) -> None:
        for message in replies.outbound(question, answer, self._topics):
            self._front.publish(message)


def _is_replay(question: Question) -> bool:
    """A retained message is never obeyed, whatever its id."""
    return isinstance(question, Refusal) and question.code == "retained"
