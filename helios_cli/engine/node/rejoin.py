"""What a node has to do before it opens its database: what its control file says that the last life left undone.

``copying``: the database file is none; fetch what it lacks from the node that is followed. The control file says so
before anything is touched, so that a crash at any point leads here again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.node.copy_sink import CopySink
from helios_cli.engine.storage import copytarget
from helios_cli.engine.storage.control import ControlFile
from helios_cli.engine.storage.files import OsFiles
from helios_cli.engine.storage.store import DATABASE_NAME

if TYPE_CHECKING:
    from helios_cli.engine.node.join import Beginning
    from helios_cli.engine.node.node import Node


async def finish_last_life(node: Node, beginning: Beginning) -> None:
    """Bring the directory into a state in which it can be opened.

    Raises:
        HeliosError: it holds half a copy, and there is nobody to fetch the rest from.
    """
    directory = node.settings.data_dir
    if control_state(directory) == copytarget.STATE:
        if not beginning.role.primary_host:
            raise HeliosError(
                f"{directory} holds a copy of a database that was not finished",
                hint="Start the node as a standby of the primary, with an empty data directory.",
            )
        await CopySink(node, beginning, f"{directory}/db/{DATABASE_NAME}").run()


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
