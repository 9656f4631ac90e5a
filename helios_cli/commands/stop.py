"""``stop``: end the node of a data directory."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import Annotated

import typer

from helios_cli.commands import _http, _options
from helios_cli.commands._errors import ExitCode
from helios_cli.commands._output import print_json
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.storage.dirlock import NAME as LOCK
from helios_cli.engine.storage.dirlock import running_holder

app = typer.Typer(add_completion=False)

POLL_S = 0.05


@app.command()
def stop(
    data_dir: _options.DataDir = None,
    config: _options.Config = None,
    timeout: Annotated[float, typer.Option("--timeout", metavar="SECONDS", min=0, help="Longest wait.")] = 30.0,
    kill: Annotated[bool, typer.Option("--kill", help="SIGKILL after the wait; the log recovers everything.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Name the process, and leave it alone.")] = False,
    as_json: _options.Json = False,
) -> int:
    """Stop the node of a data directory (SIGTERM) and wait until it is gone. Nothing running is no error.

    Examples:

        heliosdb-nano stop

        heliosdb-nano stop --data-dir /var/lib/heliosdb --timeout 10 --kill
    """
    directory = _options.load({"data_dir": data_dir}, config).settings.data_dir
    pid = holder_of(directory)
    if pid is None:
        _say(as_json, {"data_dir": directory, "pid": None, "stopped": False}, f"no node runs on {directory}")
        return ExitCode.OK
    if dry_run:
        _say(as_json, {"data_dir": directory, "pid": pid, "stopped": False}, f"would stop process {pid}")
        return ExitCode.OK
    try:
        os.kill(pid, signal.SIGTERM)
    except PermissionError:
        raise HeliosError(f"process {pid} is another user's", sqlstate="42501", hint="Stop it as that user.") from None
    if not _gone(pid, timeout):
        if not kill:
            raise _http.TooSlow(f"process {pid} still runs after {timeout:g} s", hint="Wait longer, or add --kill.")
        os.kill(pid, signal.SIGKILL)
        _gone(pid, timeout)
    _say(as_json, {"data_dir": directory, "pid": pid, "stopped": True}, f"stopped process {pid}")
    return ExitCode.OK


def holder_of(directory: str) -> int | None:
    """The process that holds a data directory; None when nobody does.

    Raises:
        HeliosError: it is held, but not by a process that can be seen from here. OSError: its lock may not be read.
    """
    holder = running_holder(directory)
    if holder is None and os.path.isdir(directory):
        with contextlib.suppress(FileNotFoundError):
            os.close(os.open(os.path.join(directory, LOCK), os.O_RDONLY))
    if holder is None:
        return None
    if holder.pid and _alive(holder.pid):
        return holder.pid
    raise HeliosError(
        f'data directory "{directory}" is held by a process that cannot be seen from here',
        hint="Stop it where it runs (another container?).",
    )


def _alive(pid: int) -> bool:
    import psutil

    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _gone(pid: int, timeout_s: float) -> bool:
    end = time.monotonic() + timeout_s
    while _alive(pid):
        if time.monotonic() >= end:
            return False
        time.sleep(POLL_S)
    return True


def _say(as_json: bool, record: dict[str, object], text: str) -> None:
    if as_json:
        print_json(record)
    else:
        typer.echo(text)
