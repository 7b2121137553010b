"""``schema``: the JSON Schema (draft 2020-12) of the settings file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from edge_service.setting_schema import file_schema

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def fill_parser(parser: ArgumentParser) -> None:
    """``schema`` has no options of its own."""
    del parser


def run(arguments: Namespace) -> int:
    """Print the schema and return 0."""
    del arguments
    print(json.dumps(file_schema(), indent=2, ensure_ascii=False))
    return 0
