"""A start, or a command, that no waiting would mend. Here, apart, so that `aegispay --help` loads no client library."""

from typing import Final

EXIT_MISCONFIGURED: Final = 78


class Misconfigured(Exception):
    """Its text says what to do."""
