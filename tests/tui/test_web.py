"""The monitor in a browser: who gets in, the first frame, keys, sizes, its end; nothing comes from elsewhere."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import psutil
import pyte
import pytest
import pytest_asyncio
import trustme
from support.node_process import wait_until
from support.played_cluster import PlayedGateway, lost, sample

from helios_cli.cli import main
from helios_cli.commands.monitoring import browser
from helios_cli.tui import web, webpage
from helios_cli.tui.recording import Recorder

ROOT = Path(__file__).resolve().parents[2]
WAIT_S = 60.0


@dataclass
class Served:
    """A server that runs, and where it is."""

    process: subprocess.Popen[str]
    base: str
    token: str

    @property
    def pages(self) -> list[psutil.Process]:
        """The processes of its pages."""
        return psutil.Process(self.process.pid).children(recursive=True)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A recorded session, served."""
    path = tmp_path_factory.mktemp("web") / "drill.monitor"
    recorder = Recorder(PlayedGateway([sample(0), sample(1), lost(sample(2), "standby-sync")]), str(path))
    for _ in range(3):
        recorder.sample()
    recorder.close()
    command = [
        sys.executable, "-m", "helios_cli", "monitor", "--web", "--web-listen", "127.0.0.1:0",
        "--replay", str(path), "--interval", "0.2",
    ]  # fmt: skip
    environment = {name: text for name, text in os.environ.items() if not name.startswith(("HELIOSDB_", "TEXTUAL"))}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        found = re.search(r"(http://127\.0\.0\.1:\d+)/\?token=(\S+)", process.stdout.readline())
        assert found is not None
        yield Served(process, found[1], found[2])
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(WAIT_S) == 0
        process.stdout.close()


@pytest_asyncio.fixture
async def visitor(served: Served) -> AsyncIterator[aiohttp.ClientSession]:
    """A browser that has opened the address, and has its cookie."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        async with session.get(f"{served.base}/?token={served.token}") as answer:
            assert (answer.status, str(answer.url)) == (200, f"{served.base}/"), "the token leaves the address"
        yield session


class Terminal:
    """The end of a page's connection that a browser has."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, size: tuple[int, int]) -> None:
        self.socket = socket
        self.screen = pyte.Screen(*size)
        self._stream = pyte.ByteStream(self.screen)

    @property
    def text(self) -> str:
        return "\n".join(self.screen.display)

    async def shows(self, *texts: str) -> None:
        end = time.monotonic() + WAIT_S
        while not all(text in self.text for text in texts):
            assert time.monotonic() < end, f"{texts} not in\n{self.text}"
            async with asyncio.timeout(WAIT_S):
                message = await self.socket.receive()
            assert message.type in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT), f"{message}\n{self.text}"
            if message.type == aiohttp.WSMsgType.BINARY:
                self._stream.feed(message.data)

    async def send(self, kind: str, what: object) -> None:
        await self.socket.send_json([kind, what])

    async def until_closed(self) -> None:
        async with asyncio.timeout(WAIT_S):
            while not self.socket.closed:
                await self.socket.receive()


@pytest.mark.asyncio
async def test_the_first_frame_comes_keys_work_and_it_ends(served: Served, visitor: aiohttp.ClientSession) -> None:
    async with visitor.ws_connect(f"{served.base}/ws?width=80&height=24", origin=served.base) as socket:
        page = Terminal(socket, (80, 24))
        await page.shows("standby-sync down", "Topology", "★ primary")
        await page.send("stdin", "?")
        await page.shows("These keys")
        await page.send("stdin", "q")
        await page.send("stdin", "2")
        await page.shows("its process is gone")
        await page.send("stdin", "1")
        page.screen.resize(40, 120)
        await page.send("resize", {"width": 120, "height": 40})
        await page.shows("╭─ ★ primary")
        await page.send("stdin", "q")
        await page.until_closed()
    await gone(lambda: not served.pages)


@pytest.mark.asyncio
async def test_a_page_that_is_closed_leaves_no_process(served: Served, visitor: aiohttp.ClientSession) -> None:
    async with visitor.ws_connect(f"{served.base}/ws?width=80&height=24") as socket:
        await Terminal(socket, (80, 24)).shows("Topology")
        assert len(served.pages) == 1
    await gone(lambda: not served.pages)


@pytest.mark.asyncio
async def test_nobody_gets_in_without_the_token_or_from_another_page(
    served: Served, visitor: aiohttp.ClientSession
) -> None:
    async with aiohttp.ClientSession() as stranger:
        for path in ("/", "/?token=wrong", "/ws", "/static/js/textual.js", f"/ws?token={served.token}"):
            async with stranger.get(served.base + path) as answer:
                assert answer.status == 401, path
                assert served.token not in await answer.text()
        with pytest.raises(aiohttp.WSServerHandshakeError, match="401"):
            await stranger.ws_connect(f"{served.base}/ws", origin=served.base)
    for origin in ("http://evil.example", served.base.rpartition(":")[0] + ":1"):
        with pytest.raises(aiohttp.WSServerHandshakeError, match="401"):
            await visitor.ws_connect(f"{served.base}/ws", origin=origin)
    assert served.pages == []


@pytest.mark.asyncio
async def test_all_that_a_page_needs_is_here(served: Served, visitor: aiohttp.ClientSession) -> None:
    async with visitor.get(f"{served.base}/") as answer:
        text, policy = await answer.text(), answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    named = re.findall(r"""(?:src|href)=["']?([^"' >]+)|url\("([^"]+)"\)""", text + webpage.STYLE)
    assert len(named) >= 6
    for path in ("".join(pair) for pair in named):
        if not path.startswith("data:"):
            assert not urlsplit(path).netloc, path
            async with visitor.get(f"{served.base}/{path}") as answer:
                assert answer.status == 200 and await answer.read(), path
    async with visitor.get(f"{served.base}/static/") as answer:
        assert answer.status in (403, 404), "no list of files"


@pytest.mark.asyncio
async def test_there_are_no_more_pages_than_a_machine_bears(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "PAGES_MAX", 1)
    where: asyncio.Queue[str] = asyncio.Queue()
    server = web.MonitorServer(["sleep", "60"], web.Place("127.0.0.1", 0, "t" * 16), where.put_nowait)
    running = asyncio.create_task(server.run())
    address = await where.get()
    base = address.partition("/?")[0]
    try:
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
            await session.get(address)
            async with session.ws_connect(f"{base}/ws"):
                with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
                    await session.ws_connect(f"{base}/ws")
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    await gone(lambda: "sleep" not in [one.name() for one in psutil.Process().children()])


@pytest.mark.asyncio
async def test_pages_come_by_https_where_there_is_a_certificate(tmp_path: Path) -> None:
    authority = trustme.CA()
    made = authority.issue_cert("127.0.0.1")
    made.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "web.pem"))
    tls = browser._tls(str(tmp_path / "web.pem"), None)
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    where: asyncio.Queue[str] = asyncio.Queue()
    server = web.MonitorServer(["sleep", "60"], web.Place("127.0.0.1", 0, "t" * 16, tls), where.put_nowait)
    running = asyncio.create_task(server.run())
    try:
        address = await where.get()
        assert address.startswith("https://127.0.0.1:")
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
            async with session.get(address, ssl=trusted, allow_redirects=False) as answer:
                assert "Secure" in answer.headers["Set-Cookie"] and "HttpOnly" in answer.headers["Set-Cookie"]
            async with session.get(address, ssl=trusted) as answer:
                assert answer.status == 200 and "page.js" in await answer.text()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def test_a_token_of_ones_own_is_not_said_aloud(capsys: pytest.CaptureFixture[str]) -> None:
    browser._say("http://127.0.0.1:1/?token=abcdefghijklmnop", "abcdefghijklmnop", "127.0.0.1")
    browser._say("http://127.0.0.1:1/?token=drawn", "", "127.0.0.1")
    out = capsys.readouterr().out
    assert "/?token=TOKEN\n" in out and "abcdefghijklmnop" not in out and "/?token=drawn\n" in out


async def gone(condition: Callable[[], bool]) -> None:
    await asyncio.to_thread(wait_until, condition, "no process of a page", WAIT_S)


def test_the_size_of_the_letters_is_one_that_can_be_read() -> None:
    sizes = [re.findall(r'font-size="(\d+)"', webpage.page(text))[0] for text in ("", "20", "2", "9999", "²", '"><b>')]
    assert sizes == ["15", "20", "15", "15", "15", "15"]


@pytest.mark.needs("node")
def test_keys_go_to_the_terminal_and_its_connection_where_the_page_came_from(tmp_path: Path) -> None:
    """The script of the page, over the few things of a browser that it asks for."""
    browser_like = """
    const made = {"#ended button": {addEventListener() {}, focus() { said.push("button"); }},
                  ".xterm-helper-textarea": {focus() { said.push("keys"); }}};
    const said = [], terminal = {dataset: {}}, classes = new Set();
    let changed = null;
    globalThis.window = {location: {href: "https://h:1/m/?fontsize=20"}, addEventListener() {}};
    globalThis.document = {getElementById: () => terminal, querySelector: (name) => made[name],
                           body: {classList: {contains: (name) => classes.has(name)}}};
    globalThis.MutationObserver = class { constructor(told) { changed = told; } observe() {} };
    """
    after = """
    changed(); classes.add("-closed"); changed();
    console.log(JSON.stringify([terminal.dataset.sessionWebsocketUrl, ...said]));
    """
    script = tmp_path / "page.js"
    script.write_text(browser_like + webpage.SCRIPT + after)
    done = subprocess.run(["node", str(script)], capture_output=True, text=True, timeout=WAIT_S, check=True)
    assert json.loads(done.stdout) == ["wss://h:1/m/ws", "keys", "button"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--web-listen", "0.0.0.0:0"], 5, "--web-token-file FILE"),
        (["--web-listen", "8642"], 2, "--web-listen takes HOST:PORT"),
        (["--web-listen", "127.0.0.1:99999"], 2, "--web-listen takes HOST:PORT"),
        (["--web-token-file", "short"], 2, "is not 16 letters and digits or more"),
        (["--web-token-file", "missing"], 2, "cannot read missing"),
        (["--web-key", "key.pem"], 2, "--web-key goes with --web-cert"),
        (["--web-cert", "short"], 2, "cannot use the certificate in short"),
        (["--once"], 2, "--web goes without"),
    ],
)
def test_what_is_unsafe_or_wrong_is_refused(
    arguments: list[str],
    code: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(browser.TOKEN_VARIABLE, raising=False)
    (tmp_path / "short").write_text("secret\n")
    recorder = Recorder(PlayedGateway([sample(0)]), "r.monitor")
    recorder.sample()
    recorder.close()
    assert main(["monitor", "--web", "--replay", "r.monitor", *arguments]) == code
    assert said in capsys.readouterr().err


def test_a_missing_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recorder = Recorder(PlayedGateway([sample(0)]), str(tmp_path / "r.monitor"))
    recorder.sample()
    recorder.close()
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    monkeypatch.delitem(sys.modules, "helios_cli.tui.web")
    monkeypatch.delattr("helios_cli.tui.web")
    assert main(["monitor", "--web", "--replay", str(tmp_path / "r.monitor")]) == 2
    err = capsys.readouterr().err
    assert "needs aiohttp" in err and "hint: pip install 'heliosdb-nano[web]'" in err
