from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_service.name_template import DEFAULT_NAME, FORBIDDEN, Named, fill, name_fault, names_camera, path_fault

AT = datetime(2026, 11, 23, 14, 5, 0, tzinfo=UTC)


def test_the_default_name_is_filled_with_local_time() -> None:
    named = Named("garden", "porch", AT, ZoneInfo("Europe/Berlin"), 7)
    assert fill(DEFAULT_NAME, named) == "garden/porch/2026/11/23/garden_porch_20261123T150500+0100"
    assert fill("{camera}-{number:07d}-{utc:%H%M%S}", named) == "porch-0000007-140500"


@pytest.mark.parametrize(
    "template",
    [
        DEFAULT_NAME,
        "{number}",
        "{camera}/{number:07d}",
        "{utc:%Y%m%d%H%M%S}",
        "{local:%Y%j%H%M%S}",
        "{utc:%y%m%d%I%M%S%p}",
    ],
)
def test_a_template_that_tells_frames_apart_is_good(template: str) -> None:
    assert name_fault(template) is None


@pytest.mark.parametrize(
    "template",
    [
        "", "x", "{camera}", "{local:%Y%m%d%H%M}", "{local:%H%M%S}", "{utc:%d%H%M%S}", "{utc:%y%m%d%I%M%S}",
        "{x}{number}", "{x.__class__}", "{node.__class__}{number}", "{node[0]}{number}", "{number!r}", "{0}", "{}",
        "{number", "number}", "{number:{node}}", "{number:x}", "{number:,}", "{number:100d}",
        "{local:%Y-%m-%dT%H:%M:%S}",
        "a:{number}", "a\\{number}", "a*{number}", "a?{number}", 'a"{number}', "a<{number}", "a>{number}",
        "a|{number}",
        "../{number}", "./{number}", "a//{number}", "/{number}", "{number}/", "a /{number}", "a./{number}",
        "con/{number}",
        "{local}{number}", "{local:}{number}", "{local:%n}{number}", "{local:%Q}{number}", "{node:>99}{number}",
        "a\n{number}",
        "{number}" + "x" * 300, ".dropbox/{number}", "{local:%}{number}", "{number:\n}",
    ],
)  # fmt: skip
def test_a_template_that_could_do_harm_or_name_two_frames_alike_is_refused(template: str) -> None:
    assert name_fault(template)


def test_only_a_template_with_the_camera_names_several_apart() -> None:
    assert names_camera(DEFAULT_NAME)
    assert not names_camera("{number}")


@given(st.text("{}nodecamrulti:%YmdHMS0123/\\_.!~ ", max_size=40))
def test_what_is_not_refused_can_be_filled_and_stored(template: str) -> None:
    if name_fault(template) is None:
        name = fill(template, Named("garden", "porch", AT, ZoneInfo("Asia/Tokyo"), 1))
        assert path_fault(name) is None
        assert not set(name) & set(FORBIDDEN)
