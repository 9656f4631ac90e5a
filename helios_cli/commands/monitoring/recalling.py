"""The time before the monitor began: the moments that the nodes have kept, asked for page by page."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from helios_cli.commands import _admin
from helios_cli.commands._admin import Reach
from helios_cli.engine.errors import HeliosError
from helios_cli.tui import past
from helios_cli.tui.past import BACK_S, Moment, Past

PAGE: Final = 200
MOMENTS_MAX: Final = 4000
"""Of one node."""

ANSWER_S: Final = 10.0
AT_ONCE: Final = 8


def recall(reaches: Mapping[str, Reach], addresses: Mapping[str, str], source: str, until_s: float) -> Past:
    """What the nodes have kept of the hours before a time. Those that cannot be asked are told by the others.

    ``addresses`` are those of all nodes, in the order in which they are shown.
    """
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="past") as pool:
        asked = {name: pool.submit(moments, reach, until_s) for name, reach in reaches.items()}
    found: dict[str, list[Moment]] = {}
    missing = ""
    for name, future in asked.items():
        error = future.exception()
        if error is None:
            found[name] = future.result()
        elif isinstance(error, HeliosError):
            missing = missing or f"{name}: {error.message}"
        else:
            raise error
    return Past(tuple(past.samples(found, addresses, source)), missing)


def moments(reach: Reach, until_s: float) -> list[Moment]:
    """The moments of one node, oldest first.

    Raises:
        HeliosError: it does not answer, or takes no token that is known here.
    """
    found: list[Moment] = []
    before_us = round(until_s * 1e6)
    while len(found) < MOMENTS_MAX:
        answer = _admin.ask(reach, "moments", {"before_us": before_us, "limit": PAGE}, ANSWER_S)
        page = [past.moment_of(one) for one in answer.get("moments", ())]
        found += [one for one in page if one.at_s >= until_s - BACK_S]
        if len(page) < PAGE or page[-1].at_s < until_s - BACK_S:
            break
        before_us = page[-1].facts.told_us
    return found[::-1]
