"""``monitor``: a cluster on one screen, while it works."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from helios_cli.commands import _admin, _options
from helios_cli.commands._admin import Asked
from helios_cli.commands._errors import ExitCode
from helios_cli.commands._output import print_json
from helios_cli.commands.monitoring import browser
from helios_cli.engine.errors import ConfigError, HeliosError

if TYPE_CHECKING:
    from helios_cli.tui.gateway import Gateway
    from helios_cli.tui.history import History

app = typer.Typer(add_completion=False)

ONCE_PATIENCE_S: Final = 2.5
ONCE_APART_S: Final = 0.5
"""Between the two looks of --once, from which it has its rates."""

ONCE_WIDTH: Final = 120
"""Of a frame that goes into a file or a pipe."""

Host = Annotated[str | None, typer.Option("--host", metavar="HOST", help="Host of a node's SQL address.")]
Port = Annotated[int | None, typer.Option("--port", min=1, max=65535, help="Port of a node's SQL address.")]
Proxy = Annotated[str | None, typer.Option("--proxy", metavar="HOST:PORT", help="Admin address of a proxy.")]
ProxyConfig = Annotated[
    str | None, typer.Option("--proxy-config", metavar="FILE", help="Its proxy.toml, which tells that, and its token.")
]
Interval = Annotated[float, typer.Option("--interval", metavar="SECONDS", min=0.1, max=60, help="Between two looks.")]
Theme = Annotated[str | None, typer.Option("--theme", metavar="dark|light", help="Colours. \\[dark]")]
Once = Annotated[bool, typer.Option("--once", help="Print one frame as text, and end.")]
Record = Annotated[str | None, typer.Option("--record", metavar="FILE", help="Keep what is seen in a new file.")]
ReadOnly = Annotated[bool, typer.Option("--read-only", help="Look only: no acts, no playbooks, no SQL.")]
Web = Annotated[bool, typer.Option("--web", help="Serve it in a browser, behind a token; see --web-listen.")]
WebListen = Annotated[
    str, typer.Option("--web-listen", metavar="HOST:PORT", help="Where; others than this machine's need a token.")
]
WebToken = Annotated[
    str | None,
    typer.Option(
        "--web-token-file", metavar="FILE",
        help="Token that pages need, in place of one that is drawn; HELIOSDB_MONITOR_TOKEN holds the token itself.",
    ),
]  # fmt: skip
WebCert = Annotated[str | None, typer.Option("--web-cert", metavar="FILE", help="PEM file: pages come by HTTPS.")]
WebKey = Annotated[str | None, typer.Option("--web-key", metavar="FILE", help="Its key, where it is another file.")]
Replayed = Annotated[str | None, typer.Option("--replay", metavar="FILE", help="Show what such a file holds.")]


@app.command()
@_admin.orders
def monitor(
    asked: Asked,
    host: Host = None,
    port: Port = None,
    proxy: Proxy = None,
    proxy_config: ProxyConfig = None,
    interval: Interval = 1.0,
    theme: Theme = None,
    once: Once = False,
    record: Record = None,
    replay: Replayed = None,
    read_only: ReadOnly = False,
    web: Web = False,
    web_listen: WebListen = browser.LISTEN,
    web_token_file: WebToken = None,
    web_cert: WebCert = None,
    web_key: WebKey = None,
    as_json: _options.Json = False,
) -> int:
    """A cluster on one screen: nodes, lag, topology, events, proxy, logs, SQL, and the verbs that move the lead.

    It finds the nodes in cluster.toml, or is told one, which knows the others. What stops answering stays in sight with
    its age. ? shows the keys. --once prints a frame as text, for scripts; with --json for programs, and with exit
    code 6 when the cluster is not healthy. PGUSER and PGPASSWORD are taken for SQL and events.

    Examples:

        heliosdb-nano monitor

        heliosdb-nano monitor --node db1.example.com:8080 --cluster-secret-file cluster.secret --proxy proxy1:9090

        heliosdb-nano monitor --once

        heliosdb-nano monitor --once --json

        heliosdb-nano monitor --record drill.monitor

        heliosdb-nano monitor --replay drill.monitor --interval 0.2

        heliosdb-nano monitor --web --read-only
    """
    if theme not in (None, "dark", "light"):
        raise typer.BadParameter(f"--theme is dark or light, not {theme!r}")
    if web and (once or as_json or record):
        raise ConfigError("--web goes without --once, --json and --record")
    if not (once or web or browser.in_browser()) and (as_json or not sys.stdout.isatty() or not sys.stdin.isatty()):
        raise ConfigError("the monitor needs a terminal", hint="--once prints one frame as text, with --json as JSON.")
    gateway, wall = _gateway(asked, (host, port, proxy, proxy_config), once, record, replay, read_only)
    try:
        if web:
            options = {"--host": host, "--port": port, "--proxy": proxy, "--proxy-config": proxy_config,
                       "--interval": interval, "--theme": theme, "--replay": replay}  # fmt: skip
            given = _given(asked, options, read_only)
            return browser.serve(given, web_listen, web_token_file, (web_cert, web_key))
        return _once(gateway, as_json) if once else _run(gateway, interval, theme, wall)
    finally:
        gateway.close()


def _given(asked: Asked, options: Mapping[str, object], read_only: bool) -> list[str]:
    """The same options again, for the process of a page."""
    own = {
        "--node": asked.node, "--data-dir": asked.data_dir, "--config": asked.config, "--ca": asked.ca,
        "--dir": asked.directory, "--token-file": asked.token_file, "--cluster-secret-file": asked.secret_file,
    }  # fmt: skip
    given = [word for name, value in (own | dict(options)).items() if value is not None for word in (name, str(value))]
    return [*given, *(["--read-only"] if read_only else [])]


def _gateway(
    asked: Asked,
    where: tuple[str | None, int | None, str | None, str | None],
    once: bool,
    record: str | None,
    replay: str | None,
    read_only: bool = False,
) -> tuple[Gateway, Callable[[], float]]:
    """The way to what is to be seen, and the clock by which it is.

    Raises:
        HeliosError: it cannot be found, read or written.
    """
    from helios_cli.tui.recording import Recorder, Replay

    if replay is not None:
        if record is not None:
            raise ConfigError("--record and --replay do not go together")
        played = Replay(replay)
        while once and played.left > 2:
            played.sample()
        return played, played.now_s
    from helios_cli.commands.monitoring import finding

    found = finding.gateway(asked, *where)
    found.read_only = read_only
    if once:
        found.patience_s = ONCE_PATIENCE_S
    return (found if record is None else Recorder(found, record)), time.time


def _run(gateway: Gateway, interval_s: float, theme: str | None, wall: Callable[[], float]) -> int:
    from helios_cli.tui.app import MonitorApp  # Textual takes longer to import than all the rest
    from helios_cli.tui.sqlhistory import SqlHistory

    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    history = SqlHistory(Path(state) / "heliosdb" / "monitor_history")
    parent = os.getppid()
    app = MonitorApp(
        gateway, interval_s=interval_s, theme_name=theme or "dark", clock=wall, sql_history=history,
        is_left=lambda: browser.in_browser() and os.getppid() != parent,
    )  # fmt: skip
    app.run()
    return ExitCode.OK


def _once(gateway: Gateway, as_json: bool) -> int:
    """Two looks, for the rates, and a frame of the second one."""
    from helios_cli.tui import frame
    from helios_cli.tui.history import History
    from helios_cli.tui.snapshot import verdict

    history = History()
    history.take(gateway.sample())
    time.sleep(ONCE_APART_S)
    snapshot = history.take(gateway.sample())
    if not any(one.facts for one in snapshot.nodes):
        raise _nobody(history)
    if as_json:
        print_json(frame.record(history, snapshot.at_s))
    else:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else ONCE_WIDTH
        _print(history, snapshot.at_s, width)
    return ExitCode.OK if verdict(snapshot)[0] == "ok" else ExitCode.DEGRADED


def _nobody(history: History) -> HeliosError:
    first = history[-1].nodes[0]
    reason = f"{first.name}: {first.error}" if first.error else "no node is known"
    return HeliosError(
        f"no node of {history[-1].source} answers: {reason}", sqlstate="08001",
        hint="heliosdb-nano cluster up starts a cluster; heliosdb-nano monitor --node HOST:PORT looks at another one.",
    )  # fmt: skip


def _print(history: History, now_s: float, width: int) -> None:
    """The frame; in colours where somebody looks."""
    from helios_cli.tui import frame

    lines = frame.frame(history, now_s, width)
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        print(frame.text_of(lines))
        return
    from rich.text import Text

    from helios_cli.commands._output import console

    styles = {"ok": "green", "warn": "yellow", "bad": "bold red", "dim": "bright_black", "accent": "cyan"}
    screen = console()
    for line in lines:
        text = Text(no_wrap=True, overflow="crop")
        for part, tone in line:
            text.append(part, "bold" if tone == "strong" else styles.get(tone, ""))
        screen.print(text)
