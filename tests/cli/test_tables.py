"""Tables of plain text: aligned, complete, and honest in their rounding."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_service.cli.tables import share, sums_tables, table
from edge_service.fates import Fate, Sums


def test_texts_stand_left_numbers_right_and_nothing_is_a_dash() -> None:
    text = table(("name", "slots", "reason"), [("porch", 5, "dns"), ("a", 12000, None), ("b", None, "")])
    assert text.splitlines() == [
        "name   slots  reason",
        "porch      5  dns",
        "a      12000  -",
        "b          -",
    ]


def test_a_table_without_rows_is_its_head() -> None:
    assert table(("a", "b"), []) == "a  b"


def test_the_sums_name_planned_and_every_fate_and_add_up() -> None:
    one, two = Sums(kept=10, failed=2, stopped=1, delivered=9, waiting=1, extra=3), Sums(kept=4, clock=1, dropped=1)
    fates, _, delivery = sums_tables({"porch": one, "yard": two}).partition("\n\n")
    head, *rows = fates.splitlines()
    assert head.split() == ["camera", "planned", *(fate.value for fate in Fate)]
    assert [row.split()[:3] for row in rows] == [["porch", "13", "10"], ["yard", "5", "4"], ["together", "18", "14"]]
    assert [row.split()[-2:] for row in delivery.splitlines()[1:]] == [["83.3", "%"], ["60.0", "%"], ["76.4", "%"]]


def test_one_camera_needs_no_line_for_all_together() -> None:
    assert "together" not in sums_tables({"porch": Sums()})


def test_a_share_of_nothing_is_unknown() -> None:
    assert share(None) == "-"
    assert share(1.0) == "100.0 %"
    assert share(0.29) == "29.0 %"


@given(kept=st.integers(0, 10**7), lost=st.integers(1, 10**7))
def test_less_than_all_is_never_shown_as_100_per_cent(kept: int, lost: int) -> None:
    assert not share(kept / (kept + lost)).startswith("100")
