"""The adapter that reads settings: file, secrets beside it, environment. One door: :func:`read_config`."""

from edge_service.adapters.config_files.reading import ConfigRead, read_config

__all__ = ["ConfigRead", "read_config"]
