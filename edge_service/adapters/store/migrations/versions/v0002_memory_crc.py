"""Each value of the memory gets its check number.

Revision ID: 0002
"""

from __future__ import annotations

import zlib

from alembic import op
from sqlalchemy import text

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A column, filled."""
    op.execute("ALTER TABLE memory ADD COLUMN crc INTEGER DEFAULT '0' NOT NULL")
    connection = op.get_bind()
    for key, value in connection.execute(text("SELECT key, value FROM memory")).all():
        values = {"key": key, "crc": zlib.crc32(f"{key}\0{value}".encode())}
        connection.execute(text("UPDATE memory SET crc = :crc WHERE key = :key"), values)


def downgrade() -> None:
    """Going back is refused before it gets here."""
    raise RuntimeError("going back is not possible")
