"""Manifests with the real store and the real lane: what is in them, when they are sent, and what comes after."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

from edge_service.batching import Pace
from edge_service.errors import TryAgainError
from edge_service.explain import Question, explain
from edge_service.fates import Fate, Run
from edge_service.frame import NewFrame, Picture, Receipt
from edge_service.housekeeping import Housekeeping
from edge_service.lane import Clocks, Lane
from edge_service.manifest import Day
from edge_service.manifests import Manifests, Terms
from edge_service.ports import Outcome
from edge_service.retention import SpoolLimits
from tests.delivery_kit import ScriptedDestination, Watch, post_to
from tests.plan_kit import plan
from tests.store_kit import opened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_service.messages import DeliveryReport

ZONE = ZoneInfo("Europe/Berlin")
EVENING = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)  # 21:00 in Berlin, whose day ends at 23:00 UTC
SLOT = timedelta(minutes=30)
FIRST = "/Timelapse/garden/manifest/porch_2026-11-23.jsonl"
SECOND = "/Timelapse/garden/manifest/porch_2026-11-23_r2.jsonl"


class Scene:
    """A camera with a slot each half hour, from 20:00 UTC on; each wall clock of it moves by hand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.watch = Watch()
        self.watch.wall = EVENING
        self.remote = ScriptedDestination(self.watch)
        self.reports: list[DeliveryReport] = []
        self.terms = Terms(wanted=True, folder="/Timelapse", node="garden", zone=ZONE, details=timedelta(days=30))
        self.limits = SpoolLimits(10**9)
        self.open()
        text = plan("Europe/Berlin", interval=1800).text()
        self.segment = self.store.ledger.begin_segment("porch", text, EVENING).id

    def open(self) -> None:
        self.store = opened(self.folder)
        self.letters = Manifests(self.store.ledger, self.store.history, self.store.memory, terms=lambda: self.terms)
        house = Housekeeping(self.store.frames, self.limits, cameras=lambda: ["porch"], free_bytes=lambda: 10**12)
        clocks = Clocks(self.watch.now, self.watch.monotonic, lambda: 0.0, lambda: ZONE)
        self.lane = Lane(
            house,
            self.remote,
            post=post_to(self.reports),
            clocks=clocks,
            pace=Pace(batch_seconds=0.0),
            manifests=self.letters,
        )

    def keep(self, at: datetime, *, slot: bool = True) -> None:
        picture = Picture(f"{at}{slot}".encode() * 10, "jpeg", 64, 48)
        new = NewFrame(
            camera="porch",
            segment=self.segment if slot else 0,
            slot_at=at if slot else None,
            captured_at=at + timedelta(milliseconds=250),
            picture=picture,
        )
        self.store.frames.keep(new, lambda number: f"/Timelapse/{number:05d}.jpg")

    def evening(self) -> None:
        """Six slots up to midnight: four kept, two failed, an extra frame; and one of the next day."""
        for number in (1, 2, 4, 5):
            self.keep(EVENING + number * SLOT)
        self.keep(EVENING + timedelta(minutes=7), slot=False)
        third = EVENING + 3 * SLOT
        self.store.ledger.record([Run("porch", self.segment, third, third, 1, Fate.FAILED, "timeout")])
        self.keep(EVENING + 6 * SLOT)  # midnight in Berlin
        self.store.ledger.settle(self.segment, EVENING + 6 * SLOT)

    def run(self, seconds: float) -> None:
        end = self.watch.seconds + seconds
        while self.watch.seconds < end:
            wait = self.lane.step() or 0.0
            self.watch.advance(max(0.01, min(wait, end - self.watch.seconds)))

    def go_to(self, moment: datetime) -> None:
        self.watch.advance((moment - self.watch.wall).total_seconds())

    def lines(self, path: str = FIRST) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.remote.files[path].decode().splitlines()]

    def manifests(self) -> list[str]:
        return sorted(path for path in self.remote.files if path.endswith(".jsonl"))


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.store.close()


def test_a_day_that_is_over_and_settled_is_told_slot_by_slot_and_its_sums_are_those_of_explain(scene: Scene) -> None:
    scene.evening()
    scene.go_to(EVENING + 6 * SLOT - timedelta(minutes=1))
    scene.run(30)
    assert scene.manifests() == [], "the day is not over"
    scene.run(120)
    assert scene.manifests() == [FIRST]
    *told, last = scene.lines()
    assert [line.get("slot") or line["from"] for line in told] == [
        "2026-11-23T21:30:00.000+01:00",
        "2026-11-23T22:00:00.000+01:00",
        "2026-11-23T22:30:00.000+01:00",
        "2026-11-23T23:00:00.000+01:00",
        "2026-11-23T23:30:00.000+01:00",
    ]
    assert [line["fate"] for line in told] == ["kept", "kept", "failed", "kept", "kept"]
    assert (told[2]["slots"], told[2]["reason"]) == (1, "timeout")
    frame = told[0]
    assert (frame["state"], frame["file"], frame["captured_at"]) == (
        "delivered",
        "/Timelapse/00001.jpg",
        "2026-11-23T21:30:00.250+01:00",
    )
    day = Day("porch", datetime(2026, 11, 23, tzinfo=UTC).date(), ZONE)
    question = Question(day.begin, day.end, scene.watch.now(), running=True)
    answer = explain(scene.store.ledger, "porch", question).payload(ZONE)
    assert last == {name: answer[name] for name in ("camera", "from", "to", "sums")}
    assert (last["sums"]["kept"], last["sums"]["failed"], last["sums"]["extra"]) == (4, 1, 1)


def test_a_manifest_is_counted_nowhere(scene: Scene) -> None:
    scene.evening()
    scene.go_to(EVENING + 6 * SLOT)
    before = scene.store.ledger.cameras()["porch"]
    scene.run(120)
    assert scene.manifests() == [FIRST]
    after = scene.store.ledger.cameras()["porch"]
    assert after.kept == before.kept == 5
    assert after.delivered == 5
    assert scene.store.frames.queue().frames == 0
    assert [frame.path for report in scene.reports for frame in report.delivered if frame.path.endswith("jsonl")] == []


def test_it_is_sent_once_and_a_restart_does_not_send_it_again(scene: Scene) -> None:
    scene.evening()
    scene.go_to(EVENING + 6 * SLOT)
    scene.run(120)
    pieces = len(scene.remote.pieces)
    scene.store.close()
    scene.open()
    scene.run(300)
    assert len(scene.remote.pieces) == pieces
    assert scene.manifests() == [FIRST]


def test_a_frame_that_waits_holds_it_back_for_seven_days_and_its_end_sends_a_second_one(scene: Scene) -> None:
    scene.evening()
    held = scene.store.frames.due(1, 10**9, EVENING + SLOT * 7)[0]
    assert held.slot_at == EVENING + 6 * SLOT
    late = next(f for f in scene.store.frames.due(9, 10**9, EVENING + SLOT * 7) if f.slot_at == EVENING + 5 * SLOT)
    scene.remote.always[late.id] = Outcome(late.id, again=60.0)
    scene.go_to(EVENING + 6 * SLOT)
    scene.run(60)
    scene.go_to(EVENING + 6 * SLOT + timedelta(days=6.9))
    scene.run(60)
    assert scene.manifests() == []
    scene.go_to(EVENING + 6 * SLOT + timedelta(days=7))
    scene.run(60)
    assert scene.manifests() == [FIRST]
    assert scene.lines()[-1]["sums"]["waiting"] == 1
    scene.remote.always.clear()
    scene.go_to(EVENING + timedelta(days=10))
    scene.run(60)
    assert scene.manifests()[:2] == [FIRST, SECOND]
    assert scene.lines(SECOND)[-1]["sums"]["waiting"] == 0


def test_a_frame_that_verify_sent_again_makes_a_second_manifest_and_only_one(scene: Scene) -> None:
    scene.evening()
    scene.go_to(EVENING + 6 * SLOT)
    scene.run(120)
    [healed] = scene.store.frames.requeue([1])
    del scene.remote.files[healed.path]
    scene.run(150)
    assert scene.manifests() == [FIRST, SECOND]
    assert scene.remote.files[healed.path]
    first, second = scene.lines(FIRST), scene.lines(SECOND)
    assert first[-1] == second[-1]
    assert first[0]["delivered_at"] != second[0]["delivered_at"]


@pytest.mark.parametrize("receipt", [False, True], ids=["no answer", "another hash"])
def test_a_manifest_whose_end_is_unknown_is_sent_again_soon(scene: Scene, *, receipt: bool) -> None:
    scene.evening()
    scene.go_to(EVENING + 6 * SLOT - timedelta(minutes=1))
    scene.run(30)
    other = Receipt(-1, FIRST, "r1", "0" * 64, scene.watch.now())
    scene.remote.special[-1] = Outcome(-1, receipt=other) if receipt else Outcome(-1, again=2.0)
    scene.run(150)
    assert scene.remote.special == {}
    assert scene.manifests() == [FIRST]


def test_what_changed_is_not_forgotten_when_its_manifest_does_not_get_through(scene: Scene) -> None:
    scene.evening()
    scene.go_to(EVENING + 6 * SLOT)
    scene.run(120)
    [healed] = scene.store.frames.requeue([1])
    del scene.remote.files[healed.path]
    scene.remote.special[-2] = Outcome(-2, again=2.0)
    scene.run(150)
    assert scene.remote.special == {}
    assert scene.manifests() == [FIRST, SECOND]


def test_a_name_that_is_taken_by_other_content_leads_to_the_next_revision(scene: Scene) -> None:
    scene.evening()
    scene.remote.files[FIRST] = b"somebody else's"
    scene.go_to(EVENING + 6 * SLOT)
    scene.run(120)
    assert scene.remote.files[FIRST] == b"somebody else's"
    assert scene.lines(SECOND)[-1]["sums"]["kept"] == 4


def test_a_slot_in_flight_holds_it_back(scene: Scene) -> None:
    scene.evening()
    scene.go_to(EVENING + 6 * SLOT)
    scene.run(60)
    pieces = len(scene.manifests())
    other = scene.store.ledger.begin_segment("attic", plan("Europe/Berlin", interval=300).text(), EVENING + 5.8 * SLOT)
    last = EVENING + 6 * SLOT - timedelta(minutes=5)
    assert pieces == 1
    scene.store.close()
    scene.open()
    scene.run(60)
    assert scene.manifests() == [FIRST], "the slot of 23:55 has no fate yet"
    scene.store.ledger.record([Run("attic", other.id, last, last, 1, Fate.FAILED, "dns")])
    scene.store.ledger.settle(other.id, last)
    scene.run(60)
    assert scene.manifests() == ["/Timelapse/garden/manifest/attic_2026-11-23.jsonl", FIRST]


def test_without_the_setting_there_is_none_and_trouble_only_delays_it(scene: Scene) -> None:
    scene.terms = Terms(wanted=False, folder="/", node="garden", zone=ZONE, details=timedelta(days=30))
    scene.evening()
    scene.go_to(EVENING + 6 * SLOT)
    scene.run(120)
    assert scene.manifests() == []
    scene.terms = Terms(wanted=True, folder="/", node="garden", zone=ZONE, details=timedelta(days=30))
    scene.remote.trouble = [TryAgainError("away", code="connect"), TryAgainError("away", code="reset")]
    scene.run(120)
    assert scene.manifests() == ["/garden/manifest/porch_2026-11-23.jsonl"]


def test_what_changed_while_they_were_not_wanted_is_told_when_they_are_again(scene: Scene) -> None:
    scene.evening()
    scene.go_to(EVENING + 6 * SLOT)
    scene.run(120)
    wanted = scene.terms
    scene.terms = replace(wanted, wanted=False)
    [healed] = scene.store.frames.requeue([1])
    del scene.remote.files[healed.path]
    scene.run(150)
    assert scene.manifests() == [FIRST]
    scene.terms = wanted
    scene.run(150)
    assert scene.manifests() == [FIRST, SECOND]


@pytest.mark.parametrize("wanted", [True, False])
def test_frames_that_nobody_looks_at_take_no_memory_each(scene: Scene, *, wanted: bool) -> None:
    scene.terms = replace(scene.terms, wanted=wanted)
    scene.keep(EVENING + SLOT)
    [frame] = scene.store.frames.due(1, 10**9, scene.watch.now())
    seconds = [replace(frame, at=frame.at + timedelta(seconds=number)) for number in range(5_000)]
    scene.letters.note(seconds[:1], scene.watch.now())
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for one in seconds:
        scene.letters.note([one], scene.watch.now())
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 20_000, "four bytes a frame"


def test_details_that_were_let_go_are_no_change_of_the_day(scene: Scene) -> None:
    scene.limits = SpoolLimits(10**9, keep_delivered=timedelta(0))
    scene.store.close()
    scene.open()
    scene.evening()
    scene.go_to(EVENING + 6 * SLOT)
    scene.run(120)
    scene.go_to(EVENING + timedelta(days=20))
    scene.run(60)
    scene.store.pruning.prune_ledger(scene.watch.now(), 86400.0, 10**9, ZONE)
    scene.lane.step()
    scene.store.close()
    scene.open()
    scene.run(600)
    assert SECOND not in scene.manifests()


def test_frames_whose_details_went_before_their_manifest_are_told_as_runs(scene: Scene) -> None:
    """By ``ledger.max_bytes``, or by ``ledger.details`` below the seven days that a frame may wait: the proof must not
    look whole where it is not.
    """
    scene.limits = SpoolLimits(10**9, keep_delivered=timedelta(0))
    scene.store.close()
    scene.open()
    scene.evening()
    late = next(f for f in scene.store.frames.due(9, 10**9, EVENING + SLOT * 7) if f.slot_at == EVENING + 4 * SLOT)
    scene.remote.always[late.id] = Outcome(late.id, again=60.0)
    scene.run(60)
    scene.go_to(EVENING + timedelta(days=3))
    scene.run(60)
    while scene.store.pruning.prune_ledger(scene.watch.now(), 86400.0, 10**9, ZONE):
        pass
    assert scene.manifests() == []
    scene.go_to(EVENING + timedelta(days=7, hours=4))
    scene.run(60)
    *told, last = scene.lines()
    assert [
        (line.get("slot") or line["from"], line["fate"], line["reason"], line.get("slots", 1)) for line in told
    ] == [
        ("2026-11-23T21:30:00.000+01:00", "kept", "details_gone", 2),
        ("2026-11-23T22:30:00.000+01:00", "failed", "timeout", 1),
        ("2026-11-23T23:00:00.000+01:00", "kept", None, 1),
        ("2026-11-23T23:30:00.000+01:00", "kept", "details_gone", 1),
    ]
    assert told[0]["to"] == "2026-11-23T22:30:00.000+01:00"
    assert sum(line.get("slots", 1) for line in told if line["fate"] == "kept") == last["sums"]["kept"] == 4


def test_the_documented_lines_have_the_keys_of_real_ones(scene: Scene) -> None:
    scene.evening()
    scene.go_to(EVENING + 6 * SLOT)
    scene.run(120)
    text = (Path(__file__).resolve().parents[1] / "docs/delivery.md").read_text(encoding="utf-8")
    told = [json.loads(line) for line in text.partition("```json\n")[2].partition("\n```")[0].splitlines()]
    real = scene.lines()
    assert [list(line) for line in told] == [list(real[0]), list(real[2]), list(real[-1])]
    assert list(told[-1]["sums"]) == list(real[-1]["sums"])
