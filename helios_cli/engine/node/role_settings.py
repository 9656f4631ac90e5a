"""What a session begins with: the settings of its role and of the database (process_settings in postinit.c).

They are the session's defaults: RESET comes back to them.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import apsw

from helios_cli.engine.errors import HeliosError

if TYPE_CHECKING:
    from helios_cli.engine.node.session import Session

log = logging.getLogger(__name__)

_OF_SESSION: Final = (
    "SELECT name, value FROM main.helios_db_role_setting "
    "WHERE (setrole = 0 OR setrole = (SELECT oid FROM main.helios_role WHERE rolname = ?)) AND setdatabase IN (0, ?) "
    "ORDER BY setrole <> 0, setdatabase <> 0"
)
"""The least specific first: for everybody, for the database, for the role, for the role in the database."""


def apply(session: Session) -> None:
    """Give a session that has just logged in what its role and the database have set. A wrong value is left out."""
    connection = session.engine.database.ring.current.connection
    try:
        rows = connection.execute(_OF_SESSION, (session.user, session.database_oid)).fetchall()
    except apsw.SQLError:
        return  # A directory of an older version, whose node has not led yet.
    for name, value in rows:
        try:
            session.set_default(str(name), str(value))
        except HeliosError as error:
            log.warning("the setting %s of role %s is left out: %s", name, session.user, error)
