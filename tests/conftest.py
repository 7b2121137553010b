"""What holds for all tests."""

from __future__ import annotations

import os

from hypothesis import settings

# No deadlines: on a shared machine they measure the machine. In a CI the same examples each time: a new
# counterexample is for whoever looks for one, not for whoever comes by with another change.
settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")
