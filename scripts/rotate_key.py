"""A new key for the stored secrets: made, everything sealed anew with it, the old one dropped. docs/sign-in.md."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from edge_service.adapters.clock import SystemClock
from edge_service.adapters.config_files import read_config
from edge_service.adapters.store.opening import Store
from edge_service.adapters.vault import Vault
from edge_service.cli.opened import has_database
from edge_service.configuration import CHANGES_KEY
from edge_service.errors import EdgeServiceError, SettingsError
from edge_service.link import ACCESS_KEY, LINK_KEY, SIGN_IN_KEY

SEALED = (LINK_KEY, ACCESS_KEY, SIGN_IN_KEY, CHANGES_KEY)
"""All that is encrypted in the database."""


def main() -> int:
    """Rotate; the exit code."""
    parser = argparse.ArgumentParser(prog="rotate-key", description=__doc__)
    parser.add_argument("--config", metavar="F", help="the file (else EDGE_SERVICE_CONFIG, else ./config.yaml)")
    given = parser.parse_args()
    try:
        folder = Path(read_config(given.config, os.environ, platform.node()).load().settings.data_dir)
        if not has_database(folder):
            print(f"{folder} holds no database: there is nothing to encrypt anew", file=sys.stderr)
            return 1
        store = Store(folder)
        store.open(SystemClock().now())
        try:
            return _rotate(store, Vault.of(folder, os.environ))
        finally:
            store.close()
    except EdgeServiceError as error:
        print(error.message, file=sys.stderr)
        return 2 if isinstance(error, SettingsError) else 1


def _rotate(store: Store, vault: Vault) -> int:
    if vault.own:
        vault.add_key()
    elif vault.keys < 2:
        print("put the new key before the old one in EDGE_SERVICE_SECRET_KEY: NEW,OLD", file=sys.stderr)
        return 2
    sealed = {key: text for key in SEALED if (text := store.memory.get(key)) is not None}
    for key, text in sealed.items():
        store.memory.put(key, vault.rotate(text))
    vault.drop_old_keys()
    print(f"{len(sealed)} stored secrets are encrypted with the new key.")
    if not vault.own:
        print("Now leave the old key out of EDGE_SERVICE_SECRET_KEY and start the service.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
