from __future__ import annotations

import re
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_service.redaction import full_config
from edge_service.setting_schema import file_schema
from edge_service.units import format_duration, format_size, parse_duration, parse_size
from tests.settings_kit import PORCH, load

VALIDATOR = jsonschema.Draft202012Validator(file_schema())


@pytest.mark.parametrize(
    "tree",
    [
        {},
        {"mqtt": None, "cameras": None},
        {"cameras": {"a": PORCH}},
        {
            "cameras": {
                "a": {"source": "http://h/", "at": ["12:00"], "timeout": "3s", "auth": {"type": "bearer", "token": "t"}}
            }
        },
        {"destination": {"folder": "/x"}, "spool": {"max_bytes": "64MiB", "keep_delivered": 90}},
        {"destination": {"type": "folder", "path": "/x"}},
        {"cameras": {"a": {"source": "http://h/", "windows": [{"from": "7:00", "to": "8:00", "interval": "1m"}]}}},
    ],
)
def test_the_schema_takes_what_the_program_takes(tree: dict[str, Any]) -> None:
    VALIDATOR.validate(tree)
    load(tree)


@pytest.mark.parametrize(
    "tree",
    [
        {"nod": "x"},
        {"node": "Garden"},
        {"cameras": {"A": {"source": "http://h/"}}},
        {"cameras": {"a": {}}},
        {"cameras": {"a": {"source": "http://h/", "interval": "often"}}},
        {"cameras": {"a": {"source": "http://h/", "auth": {"type": "bearer"}}}},
        {"web": {"port": 70000}},
        {"log": {"level": "loud"}},
        {"destination": {"type": "folder"}},
        {"spool": {"max_bytes": "many"}},
        {"spool": {"max_bytes": -1}},
        {"mqtt": {"url": "http://h"}},
        {"mqtt": {"url": "mqtt://u:p@h"}},
        {"node": "con"},
        {"cameras": {"a": {"source": "ftp://h/"}}},
        {"cameras": {"a": {"source": "http://u:p@h/"}}},
        {"cameras": {"a": {"source": "http://h/", "interval": 2}}},
        {"cameras": {"a": {"source": "http://h/", "at": ["25:00"]}}},
        {"cameras": {"a": {"source": "http://h/", "windows": [{"days": ["never"], "from": "7:00", "to": "8:00"}]}}},
    ],
)
def test_the_schema_refuses_what_the_program_refuses(tree: dict[str, Any]) -> None:
    assert not VALIDATOR.is_valid(tree)


def test_the_settings_in_force_fit_the_schema() -> None:
    VALIDATOR.validate(full_config(load({"cameras": {"a": PORCH}}).settings))


def pattern_of(part: str, key: str) -> re.Pattern[str]:
    choices = file_schema()["$defs"][part]["properties"][key]["anyOf"][0]["anyOf"]
    return re.compile(next(choice["pattern"] for choice in choices if choice["type"] == "string"))


TEXTS = st.text("0123456789.dhms kKMGTiBb", min_size=1, max_size=12)


@given(TEXTS | st.integers(0, 10**7).map(format_duration))
def test_the_schema_and_the_parser_agree_on_durations(text: str) -> None:
    if text == text.strip():
        assert bool(pattern_of("CameraSettings", "timeout").search(text)) == _parses(parse_duration, text)


@given(TEXTS | st.integers(0, 10**15).map(format_size))
def test_the_schema_and_the_parser_agree_on_sizes(text: str) -> None:
    if text == text.strip():
        assert bool(pattern_of("CameraSettings", "max_bytes").search(text)) == _parses(parse_size, text)


def _parses(parse: Any, text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True
