"""Finding a setting by any of its names, and the nearest name to one that does not exist."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

from helios_cli.engine.config.hba import HBA_SETTINGS
from helios_cli.engine.config.recorded import RECORDED
from helios_cli.engine.config.settings import declared
from helios_cli.engine.config.spec import Setting
from helios_cli.engine.errors import ConfigError

NODE_SETTINGS: Final = declared()
"""The settings that are fields of ``Settings``."""

ALL_SETTINGS: Final = (*NODE_SETTINGS, *HBA_SETTINGS, *RECORDED)

OTHER_ENVIRONMENT: Final = (
    "HELIOSDB_CONFIG",
    "HELIOSDB_CLUSTER",
    "HELIOSDB_CLUSTER_SECRET",
    "HELIOSDB_CLUSTER_SECRET_FILE",
    "HELIOSDB_ETCD_PASSWORD",
    "HELIOSDB_INITIAL_PASSWORD",
    "HELIOSDB_PROXY_CONFIG",
    "HELIOSDB_HISTORY",
    "HELIOSDB_HOST",
    "HELIOSDB_HTTP_TOKEN",
    "HELIOSDB_UNPACK_DIR",
)
"""Environment variables that are no settings of a node but belong to the product."""


def _index_keys(settings: Iterable[Setting]) -> dict[str, tuple[Setting, ...]]:
    index: dict[str, tuple[Setting, ...]] = {}
    for one in settings:
        for key in (one.key, *one.key_aliases):
            index[key] = (*index.get(key, ()), one)
    return index


BY_KEY: Final = _index_keys(ALL_SETTINGS)
"""Settings at a place of the file; where two share one, the first that takes the value gets it."""

BY_NAME: Final = {one.name: one for one in ALL_SETTINGS if not one.in_table}


def find(name: str) -> Setting:
    """The setting of that SQL name or dotted key, regardless of case.

    Raises:
        ConfigError: there is none (42704, as PostgreSQL says it).
    """
    wanted = name.strip().lower()
    if wanted in BY_NAME:
        return BY_NAME[wanted]
    if wanted in BY_KEY and not BY_KEY[wanted][0].in_table:
        return BY_KEY[wanted][0]
    raise ConfigError(
        f'unrecognized configuration parameter "{name}"',
        sqlstate="42704",
        hint=did_you_mean(wanted, (*BY_NAME, *BY_KEY)),
    )


def did_you_mean(name: str, names: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """A hint with the nearest name; None when nothing is nearer than ``cutoff`` (1 is equal)."""
    known = list(names)
    near = difflib.get_close_matches(name, known, n=1, cutoff=cutoff)
    if not near:  # a right name at a wrong place: compare the last parts
        tail = name.rpartition(".")[2]
        tails = {one.rpartition(".")[2]: one for one in reversed(known)}
        near = [tails[one] for one in difflib.get_close_matches(tail, list(tails), n=1, cutoff=max(cutoff, 0.75))]
    return f'Did you mean "{near[0]}"?' if near else None
