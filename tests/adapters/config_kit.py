"""A folder with a settings file, for tests that read one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge_service.adapters.config_files import read_config
from edge_service.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

    from edge_service.settings import Settings


class Folder:
    """A folder with a settings file, read as the program reads it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = path / "config.yaml"

    def settings(self, text: str, secrets: str | None = None, **environment: str) -> Settings:
        self.file.write_text(text, encoding="utf-8")
        if secrets is not None:
            (self.path / "secrets.yaml").write_text(secrets, encoding="utf-8")
        return read_config(str(self.file), environment, "Pi-4.local").load().settings

    def faults(self, text: str, secrets: str | None = None, **environment: str) -> list[str]:
        """The lines of all faults, without the folder."""
        with pytest.raises(SettingsError) as caught:
            self.settings(text, secrets, **environment)
        return [fault.line().replace(f"{self.path}/", "") for fault in caught.value.faults]
