"""What a node has to do before it opens its database: what its control file says that the last life left undone.

``parted at F``: its log has records behind F that the cluster's has not; they become a salvage. ``rewinding to F``: the
log is cut there, and the database of F takes the place of the present one. ``copying``: the database file is none;
what it lacks is fetched from the node that is followed. The control file says so before anything is touched, so that a
crash at any point leads here again. The node serves nobody meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

from helios_cli.engine.errors import DiskFull, HeliosError, LogDamaged
from helios_cli.engine.node.copy_sink import CopySink
from helios_cli.engine.storage import copytarget, rewind
from helios_cli.engine.storage.control import ControlFile
from helios_cli.engine.storage.files import OsFiles, as_helios_error
from helios_cli.engine.storage.rewind import Rewinder
from helios_cli.engine.storage.salvage import Manifest
from helios_cli.engine.storage.store import DATABASE_NAME

if TYPE_CHECKING:
    from helios_cli.engine.node.join import Beginning
    from helios_cli.engine.node.node import Node

log = logging.getLogger(__name__)

RETRY_S: Final = 5.0
_KEEP: Final = "keep what the cluster went on without"

Result = TypeVar("Result")


async def finish_last_life(node: Node, beginning: Beginning) -> None:
    """Bring the directory into a state in which it can be opened.

    Raises:
        HeliosError: it holds half a copy, and there is nobody to fetch the rest from; or it cannot be read.
    """
    directory = node.settings.data_dir
    database = f"{directory}/db/{DATABASE_NAME}"
    if control_state(directory).startswith((rewind.PARTED, rewind.REWINDING)):
        await _go_back(node, database)
    if control_state(directory) == copytarget.STATE:
        if not beginning.role.primary_host:
            raise HeliosError(
                f"{directory} holds a copy of a database that was not finished",
                hint="Start the node as a standby of the primary, with an empty data directory.",
            )
        await CopySink(node, beginning, database).run()
    for name, manifest in await _with_room(node, lambda: rewind.finish_salvages(directory, database)):
        _tell(node, name, manifest)


async def _go_back(node: Node, database: str) -> None:
    """Keep what was lost, then rewind."""
    settings = node.settings
    rewinder = await _blocking(lambda: Rewinder(settings.data_dir, database, settings.log_segment_mb << 20))
    try:
        if rewinder.control.record.state.startswith(rewind.PARTED):
            saved = await _with_room(node, rewinder.save)
            if saved is not None:
                _tell(node, *saved)
        if rewinder.control.record.state.startswith(rewind.REWINDING):
            await _rewind(node, rewinder)
    finally:
        rewinder.close()


async def _with_room(node: Node, work: Callable[[], Result]) -> Result:
    """What the work gives; a disk that is full is waited for, since nothing may be discarded before it is kept."""
    told = False
    while True:
        try:
            return await _blocking(work)
        except (OSError, DiskFull) as error:
            failure = as_helios_error(error, _KEEP) if isinstance(error, OSError) else error
            if not isinstance(failure, DiskFull):
                raise failure from error
            if not told:
                told = True
                node.event("rejoin_waits", f"{failure.message}; it is tried again", severity="error")
        await asyncio.sleep(RETRY_S)


async def _rewind(node: Node, rewinder: Rewinder) -> None:
    try:
        fork = await _with_room(node, rewinder.rewind)
    except LogDamaged as error:
        if rewinder.control.record.state != copytarget.STATE:
            raise
        node.event("rewind_failed", f"{error.message}: it is copied", severity="warning")
    else:
        node.event("rewound", f"the log and the database of this node are back at {fork}")


def _tell(node: Node, name: str, manifest: Manifest) -> None:
    text = f"{manifest.commits} commits behind {manifest.fork} are not the cluster's: kept as salvage {name}"
    if not manifest.pending:
        text += f", {manifest.rows} rows"
    node.event("salvaged", text, severity="warning", salvage=name, rows=manifest.rows, exact=manifest.exact)


def control_state(directory: str) -> str:
    """What the control file of a data directory says of an act that was not finished; empty without one."""
    files, control_dir = OsFiles(), f"{directory}/control"
    if not ControlFile.exists(files, control_dir):
        return ""
    control = ControlFile.open(files, control_dir)
    try:
        return control.record.state
    finally:
        control.close()


async def _blocking(work: Callable[[], Result]) -> Result:
    return await asyncio.get_running_loop().run_in_executor(None, work)
