from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_service.units import (
    format_duration,
    format_size,
    id_fault,
    id_from_host,
    parse_duration,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("5m", 300), ("1h30m", 5400), ("1d", 86400), ("0.5s", 0.5), ("1.5h", 5400), (" 2s ", 2)],
)
def test_a_duration_is_read_in_every_form_of_the_contract(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds
    assert isinstance(parse_duration(text), type(seconds))


@pytest.mark.parametrize(
    "text", ["", "s", "-5", "5 m", "5x", "1m1h", "1e3", "nan", "inf", "٣s", "1h30", "9" * 100, "5m5m", "+5s"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@given(st.integers(0, 10**9))
def test_a_formatted_duration_reads_back_as_itself(seconds: int) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("500kB", 500_000),
        ("500 kb", 500_000),
        ("2GB", 2 * 10**9),
        ("64MiB", 64 * 2**20),
        ("1.5KiB", 1536),
        ("7B", 7),
    ],
)
def test_a_size_is_read_in_every_form_of_the_contract(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MB", "-1", "5X", "5k", "1e9", "nan", "5  MB", "9" * 100])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="size"):
        parse_size(text)


@given(st.integers(0, 10**15))
def test_a_formatted_size_reads_back_as_itself(size: int) -> None:
    assert parse_size(format_size(size)) == size


@pytest.mark.parametrize("text", ["a", "porch", "front-door", "cam_2", "0", "a" * 32, "a-b_c"])
def test_an_id_within_the_rule_has_no_fault(text: str) -> None:
    assert id_fault(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A",
        "a__b",
        "_a",
        "a_",
        "-a",
        "a b",
        "a.b",
        "ä",
        "a" * 33,
        "con",
        "nul",
        "com1",
        "lpt9",
        "a_-b",
        "a\n",
        "../a",
    ],
)
def test_an_id_outside_the_rule_has_a_fault(text: str) -> None:
    assert id_fault(text)


@pytest.mark.parametrize(
    ("host", "node"),
    [
        ("Pi-4.local", "pi-4"),
        ("my__host", "my-host"),
        ("", "edge"),
        ("---", "edge"),
        ("CON", "node-con"),
        ("ümlaut", "mlaut"),
    ],
)
def test_a_host_name_is_made_to_fit(host: str, node: str) -> None:
    assert id_from_host(host) == node


@given(st.text(max_size=80))
def test_every_host_name_gives_a_valid_id(host: str) -> None:
    assert id_fault(id_from_host(host)) is None
