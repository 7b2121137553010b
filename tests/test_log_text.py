from __future__ import annotations

import json
import logging
import sys
from urllib.parse import quote
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_service.log_text import JsonFormatter, LineFormatter, Mask, formatter_for

CANARY = "cana ry/7d1f\"'\\ü"
ZONE = ZoneInfo("Europe/Berlin")


def record_of(message: str, *args: object, trace: bool = False) -> logging.LogRecord:
    """A record made at a fixed moment, with the traceback of an error that holds the message if asked."""
    trouble = None
    if trace:
        try:
            raise ValueError(message)  # noqa: TRY301 (its traceback is the matter)
        except ValueError:
            trouble = sys.exc_info()
    record = logging.LogRecord("edge_service.adapters.broker", logging.INFO, "x.py", 1, message, args, trouble)
    record.created = 1795442700.123
    return record


def test_a_line_says_when_in_the_nodes_zone_how_bad_and_where() -> None:
    line = LineFormatter(Mask(), ZONE).format(record_of("the %s is back", "broker"))
    assert line == "2026-11-23T15:05:00.123+01:00 INFO    broker: the broker is back"


def test_a_json_line_is_one_object() -> None:
    text = JsonFormatter(Mask(), ZONE).format(record_of("two\nlines", trace=True))
    assert "\n" not in text
    line = json.loads(text)
    assert line["at"] == "2026-11-23T15:05:00.123+01:00"
    assert (line["level"], line["message"]) == ("info", "two\nlines")
    assert "ValueError" in line["trace"]


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_secret_shows_in_no_form_in_no_part_of_a_record(form: str) -> None:
    formatter = formatter_for(form, Mask([CANARY]), ZONE)
    for shape in (CANARY, repr(CANARY), json.dumps(CANARY), quote(CANARY), f"x{CANARY}y"):
        record = record_of(f"in the message {shape} and %s", shape, trace=True)
        record.args = None
        record.stack_info = f"Stack: {shape}"
        text = formatter.format(record)
        assert "7d1f" not in text
        assert "***" in text


def test_a_secret_learned_later_is_hidden_from_then_on() -> None:
    mask = Mask()
    assert mask("a late-secret") == "a late-secret"
    mask.learn(["late-secret", "", " "])
    assert mask("a late-secret b") == "a *** b"
    assert "late" not in repr(mask)


def test_a_short_secret_does_not_make_the_log_unreadable() -> None:
    assert Mask(["a"])("a camera says a=1, (a)") == "*** camera says ***=1, (***)"


def test_addresses_in_messages_and_tracebacks_are_redacted() -> None:
    line = LineFormatter(Mask(), ZONE).format(record_of("GET http://me:pw7@h/x?token=tk7&a=1 failed", trace=True))
    assert "pw7" not in line
    assert "tk7" not in line
    assert "http://h/x?token=***&a=1" in line


def test_a_message_cannot_forge_a_second_line() -> None:
    line = LineFormatter(Mask(), ZONE).format(record_of("bad id %s", "x\r\n2026-01-01 INFO forged"))
    assert len(line.splitlines()) == 1


def test_a_message_whose_arguments_do_not_fit_is_not_lost() -> None:
    assert "%d frames" in LineFormatter(Mask(), ZONE).format(record_of("%d frames", "many"))


@given(st.text(min_size=4, max_size=20).filter(lambda text: text.strip() and "*" not in text), st.text(max_size=10))
def test_whatever_the_secret_is_the_mask_hides_it(secret: str, around: str) -> None:
    assert secret not in Mask([secret])(f"{around}{secret}{around}").replace(around, "")
