"""``version``: of the product and of what it stands on."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import Any

import typer

from helios_cli import __version__
from helios_cli.commands import _options
from helios_cli.commands._output import print_json, print_table

app = typer.Typer(add_completion=False)

LIBRARIES = ("apsw", "pgparse", "lz4", "msgspec", "uvloop", "typer", "rich", "textual")


@app.command()
def version(as_json: _options.Json = False) -> int:
    """Versions of the product and of what it stands on.

    Examples:

        heliosdb-nano version --json
    """
    record: dict[str, Any] = {"heliosdb-nano": __version__, "python": platform.python_version()}
    for name in LIBRARIES:
        try:
            record[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            record[name] = None
    if as_json:
        print_json(record)
    else:
        print_table(("component", "version"), list(record.items()))
    return 0
