"""A Dropbox for tests: a TLS server that the real SDK reaches through its own host variables, with faults to order.

``DropboxEmulator`` runs it inside a test process, ``python -m tests.dropbox_emulator`` for a person.
"""

from tests.dropbox_emulator.emulator import DropboxEmulator
from tests.dropbox_emulator.faults import Fault
from tests.dropbox_emulator.people import Account, App

__all__ = ["Account", "App", "DropboxEmulator", "Fault"]
