"""The first tables. A fresh database gets them from the schema directly; this step is where all later ones begin.

Revision ID: 0001
"""

from __future__ import annotations

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing: no database was ever older."""


def downgrade() -> None:
    """Going back is refused before it gets here."""
    raise RuntimeError("going back is not possible")
