"""The proxy's process: listeners, signals, the end."""

from __future__ import annotations

import logging
import resource
from typing import Final

log = logging.getLogger(__name__)

FILES_WANTED: Final = 1 << 16


def raise_file_limit() -> None:
    """A descriptor for each client and backend: as many as the machine lets us have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_WANTED if hard == resource.RLIM_INFINITY else min(FILES_WANTED, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
