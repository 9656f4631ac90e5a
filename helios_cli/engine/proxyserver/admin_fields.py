"""What the proxy's admin address answers: one name per fact, over HTTP, in ``SHOW`` on database heliosproxy, and in
the commands.

Bodies are JSON. ``GET`` needs no token, ``POST`` needs ``Authorization: Bearer`` with the token of ``proxy.token``.

==============================  =======================================================================================
``GET /health``                 ``{"status": "ok"}``; 503 with ``{"status": "unavailable", "reason": ...}`` while no
                                node can be reached, and while the proxy is stopping
``GET /ready``                  likewise; 503 also while there is no primary, and while the proxy is paused
``GET /nodes``                  a list of objects with the fields :data:`NODES`
``GET /pools``                  likewise :data:`POOLS`, one for each node, user and database
``GET /clients``                likewise :data:`CLIENTS`
``GET /servers``                likewise :data:`SERVERS`, the backends
``GET /stats``                  a list of ``{"name", "value"}``: counters end in ``_total``, all else is a state of now
``GET /metrics``                the same for Prometheus
``GET /routing/explain?sql=``   one object with the fields :data:`EXPLAINED`; ``&floor=`` and ``&hint=`` as the session
                                would have them
``POST /pause``                 new statements wait; with ``?wait=1`` the answer comes when nothing runs any more, or is
                                504 after ``write_timeout_secs``
``POST /resume``                they go on
``POST /drain/{node}``          what runs there may end, nothing new comes; the primary only with ``?force=1``
``POST /undrain/{node}``        it is used again
``POST /reload``                read proxy.toml again; besides ``result`` also ``at_once`` and ``at_restart``, lists of
                                settings
==============================  =======================================================================================

A verb is answered with 200 and ``{"result": "one line for people"}``; doing what is done already is no error. What
fails has ``{"error", "sqlstate", "hint"}``: 401 without the right token, 404 no such node (42704), 409 it would not be
safe (55000), 422 an invalid proxy.toml (F0000, with ``problems``, a list of texts).
"""

from __future__ import annotations

from typing import Final

NODES: Final = (
    "name", "host", "port", "role", "state", "enabled", "weight", "term", "lsn", "lag_bytes", "lag_ms", "latency_ms",
    "active", "backends", "is_heliosdb", "reason",
)  # fmt: skip
"""``state``: healthy, unhealthy, draining, disabled. ``lsn`` as text. ``active``: statements there now.
``reason``: why it is unhealthy, empty else."""

POOLS: Final = (
    "node", "user", "database", "mode", "size", "active", "idle", "opening", "waiting", "wait_ms",
)  # fmt: skip
"""``waiting``: clients in its queue; ``wait_ms``: how long the first of them has."""

CLIENTS: Final = (
    "id", "user", "database", "application_name", "address", "tls", "state", "node", "pinned", "age_s", "idle_s",
    "statements",
)  # fmt: skip
"""``state``: idle, active, waiting (for a backend or a primary), transaction. ``node``: whose backend it has, empty
for none. ``pinned``: why it keeps it, empty else."""

SERVERS: Final = ("node", "user", "database", "state", "address", "pid", "client", "prepared", "idle_s")
"""``state``: active, idle, kept (a client has it and asks nothing). ``client``: its id, 0 for none."""

STATS: Final = ("name", "value")

EXPLAINED: Final = ("sql", "access", "why", "node", "candidates", "named", "pins", "hint")
"""``access``: read or write. ``node``: which would get it now, null for none. ``candidates``: names of all that could.
``named``: whether it is sent again under its name when its backend is lost."""
