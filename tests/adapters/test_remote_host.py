"""A host over SSH, against a real sshd on loopback: commands, files, processes, logs, keys, and what goes wrong."""

from __future__ import annotations

import os
import signal
import socket
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.node_process import free_port, wait_until
from support.ssh_server import SshServer

from helios_cli.commands.proving.dials import Dial
from helios_cli.engine.errors import ConfigError
from helios_cli.engine.remote import login as logins
from helios_cli.engine.remote.errors import HostError, HostKeyRefused, HostUnreachable, LoginRefused, NoRoom
from helios_cli.engine.remote.host import Host
from helios_cli.engine.remote.login import fingerprint
from helios_cli.engine.remote.machine import There

pytestmark = pytest.mark.needs("sshd", "ssh-keygen")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, program: Callable[[str], str]) -> Iterator[SshServer]:
    made = SshServer(tmp_path_factory.mktemp("ssh"), program)
    yield made
    made.close()


@pytest.fixture
def host(server: SshServer) -> Iterator[Host]:
    made = Host(server.login())
    yield made
    made.close()


def python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", code, *arguments]


# Commands -------------------------------------------------------------------------------------------------------------


def test_a_command_gets_its_words_and_its_input_as_they_are(host: Host) -> None:
    words = ["a b", "$HOME", "'", '"', "*", "", "ä\n", "-n"]
    code = "import sys; print(sys.argv[1:]); print(sys.stdin.read()); print('bad', file=sys.stderr); sys.exit(3)"
    ran = host.run(python(code, *words), data=b"in\0put")
    assert (ran.code, ran.out, ran.err) == (3, f"{words}\nin\0put\n", "bad\n")


def test_a_command_that_says_a_lot_on_both_streams_ends(host: Host) -> None:
    size = 3_000_000
    code = f"import sys; sys.stderr.write('e' * {size}); sys.stdout.write('o' * {size}); sys.stdin.read()"
    ran = host.run(python(code), data=b"i" * size, timeout_s=60.0)
    assert (ran.code, len(ran.out), len(ran.err)) == (0, size, size)


def test_a_command_that_does_not_end_is_given_up(host: Host) -> None:
    with pytest.raises(HostError, match=r"db1: sleep did not end within 0.3 s") as caught:
        host.run(["sleep", "30"], timeout_s=0.3)
    assert caught.value.sqlstate == "57014"
    assert host.run(["true"]).code == 0


def test_a_command_that_is_not_there_says_so(host: Host) -> None:
    assert host.run(["no-such-program"]).code == 127
    assert host.ask("run", ["no-such-program"], 5.0)[0] == 127


# Files ----------------------------------------------------------------------------------------------------------------


def test_a_file_is_written_whole_with_its_mode_and_never_wider(host: Host, server: SshServer) -> None:
    assert host.ask("write", "~/deep/secret", b"one\0\xff", 0o600) is True
    path = server.home / "deep" / "secret"
    assert path.read_bytes() == b"one\0\xff" and stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.stat().st_ino
    assert host.ask("write", "~/deep/secret", b"one\0\xff", 0o600) is False
    assert path.stat().st_ino == before, "what is there already is left alone"
    assert host.ask("write", "~/deep/secret", b"two", 0o640) is True
    assert host.ask("read", "~/deep/secret") == b"two" and stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [one.name for one in path.parent.iterdir()] == ["secret"]
    assert host.ask("remove", "~/deep") is True and host.ask("read", "~/deep/secret") is None


def test_a_large_file_arrives_with_its_checksum(host: Host, server: SshServer, tmp_path: Path) -> None:
    file = tmp_path / "large"
    file.write_bytes(os.urandom(2_000_001))
    told: list[tuple[int, int]] = []
    host.put(file, "~/bin/large", 0o755, lambda done, size: told.append((done, size)))
    path = server.home / "bin" / "large"
    assert path.read_bytes() == file.read_bytes() and os.access(path, os.X_OK)
    assert told[-1] == (2_000_001, 2_000_001) and len(told) > 2
    assert [one.name for one in path.parent.iterdir()] == ["large"]


def test_a_file_that_is_cut_off_in_the_middle_leaves_the_old_one(host: Host, server: SshServer, tmp_path: Path) -> None:
    file = tmp_path / "new"
    file.write_bytes(os.urandom(1_000_000))
    host.ask("write", "~/cut/program", b"old", 0o755)

    def told(done: int, _size: int) -> None:
        if done > 500_000:
            server.stop()

    try:
        with pytest.raises(HostUnreachable):
            host.put(file, "~/cut/program", 0o755, told)
    finally:
        server.start()
    assert (server.home / "cut" / "program").read_bytes() == b"old"
    host.close()
    host.put(file, "~/cut/program", 0o755)
    assert [one.name for one in (server.home / "cut").iterdir()] == ["program"], "the piece of before is gone"


def test_no_room_and_no_right_are_told_with_the_hosts_name(host: Host, server: SshServer) -> None:
    with pytest.raises(NoRoom, match=r"the disk of db1 is full") as full:
        host.ask("begin_put", "~/huge", 1 << 60)
    assert full.value.sqlstate == "53100"
    with pytest.raises(FileExistsError) as refused:
        host.ask("write", "/dev/null/x", b"", 0o600)
    assert str(refused.value.filename).startswith("db1:/dev/null")


# Processes and logs ---------------------------------------------------------------------------------------------------


def test_a_process_outlives_the_connection_and_is_found_again(host: Host, server: SshServer) -> None:
    words = [sys.executable, "-c", "print('up', flush=True); import time; time.sleep(600)", "helios"]
    found = host.ask("spawn", words, "~/one.log")
    record = f'{{"pid": {found[0]}, "start_ticks": {found[1]}, "boot_id": "{found[2]}"}}'
    host.ask("write", "~/one.pid", record.encode(), 0o644)
    host.close()
    try:
        assert host.ask("find", "~/one.pid", None) == found
        wait_until(lambda: bool(host.ask("ending", "~/one.log", 100) == b"up\n"), "it speaks", 30.0)
        assert host.ask("send", found[0], found[1], int(signal.SIGSTOP)) is True
        wait_until(lambda: bool(host.ask("state", found[0], found[1]) == "frozen"), "it is frozen", 30.0)
        assert host.ask("send", found[0], found[1] + 1, int(signal.SIGKILL)) is False, "another of that number"
    finally:
        host.ask("send", found[0], found[1], int(signal.SIGKILL))
    wait_until(lambda: bool(host.ask("state", found[0], found[1]) == "gone"), "it is gone", 30.0)
    assert host.ask("find", "~/one.pid", None) is None


def test_a_log_is_followed_over_a_rotation_and_a_cut(host: Host, server: SshServer) -> None:
    log = server.home / "grown.log"
    mark: list[int] | None = None

    def news() -> bytes:
        nonlocal mark
        found = b""
        while True:
            mark, data, is_over = host.ask("grown", "~/grown.log", mark, 4)
            found += bytes(data)
            if not data and not is_over:
                return found

    assert news() == b""
    log.write_bytes(b"first\nsecond\n")
    assert news() == b"first\nsecond\n" and news() == b""
    with log.open("ab") as file:
        file.write(b"third\n")
    log.rename(log.with_name("grown.log.1"))
    assert news() == b"third\n", "the next one is not there yet"
    log.write_bytes(b"fourth\n")
    assert news() == b"fourth\n"
    log.write_bytes(b"5\n")
    assert news() == b"5\n"


def test_used_ports_are_named(host: Host) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert host.ask("used_ports", [["127.0.0.1", port], ["127.0.0.1", free_port()]]) == [port]


def test_the_page_of_a_node_there_is_shared_with_who_drills_it(host: Host, server: SshServer) -> None:
    (server.home / "drill").write_bytes(bytes(32))
    near, far = Dial(server.home / "drill"), Dial(Path("~/drill"), There(host))
    far.delay_s = 0.25
    far.jump(-3600)
    assert near.delay_s == 0.25 == far.delay_s and near.pid == far.pid == 0
    with far.stalled():
        assert (server.home / "drill").read_bytes().count(0) < 24
    far.right()
    assert (server.home / "drill").read_bytes() == bytes(32)
    with pytest.raises(FileNotFoundError):
        Dial(Path("~/no-such"), There(host))


# Logging in -----------------------------------------------------------------------------------------------------------


def test_a_key_that_nobody_knows_is_refused_with_its_fingerprint(
    server: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(HostKeyRefused, match=r"the key of db1 .* is not known") as caught:
        Host(server.login(host_key="")).ask("hello")
    assert fingerprint(server.host_key) in caught.value.message and not caught.value.changed
    assert caught.value.shown == server.host_key and "cluster hosts trust db1" in str(caught.value.hint)
    known = tmp_path / "known_hosts"
    known.write_text(f"[127.0.0.1]:{server.port} {caught.value.shown}\n")
    trusting = Host(server.login(host_key="", known_hosts=str(known)))
    assert trusting.ask("hello")["home"] == str(server.home)
    trusting.close()


def test_a_key_that_has_changed_is_refused(server: SshServer) -> None:
    other = (server.directory / "other_key.pub").read_text().strip()
    with pytest.raises(HostKeyRefused, match=r"shows another key than host_key in cluster.toml has") as caught:
        Host(server.login(host_key=other)).ask("hello")
    assert caught.value.changed and caught.value.shown == server.host_key and caught.value.sqlstate == "NH010"
    assert fingerprint(other) in caught.value.message and fingerprint(server.host_key) in caught.value.message


def test_a_key_that_does_not_let_in_is_named(server: SshServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    wrong = str(server.directory / "other_key")
    with pytest.raises(LoginRefused, match=r"does not let anybody in with .*other_key") as caught:
        Host(server.login(identity_file=wrong, user="anybody")).ask("hello")
    assert "authorized_keys" in str(caught.value.hint)


@pytest.mark.parametrize(("content", "message"), [(None, "cannot read identity_file"), ("x", "no private key")])
def test_a_key_file_that_is_none_is_told(server: SshServer, tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=message):
        Host(server.login(identity_file=str(path))).ask("hello")


def test_nobody_there_and_nobody_who_speaks_are_told_apart(server: SshServer) -> None:
    with pytest.raises(HostUnreachable, match=r"connection refused"):
        Host(server.login(port=free_port())).ask("hello")
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(HostUnreachable, match=r"cannot be reached|does not answer"),
    ):
        Host(server.login(port=silent.getsockname()[1], connect_s=0.5)).ask("hello")
    with pytest.raises(HostUnreachable, match=r"nobody knows the address"):
        Host(logins.Login("db1", "no-such-host.invalid")).ask("hello")


def test_a_host_without_python_is_told(server: SshServer) -> None:
    with pytest.raises(HostError, match=r"has no python3.99"):
        Host(server.login(python="python3.99")).ask("hello")


def test_what_the_login_shell_prints_does_not_disturb(server: SshServer, host: Host) -> None:
    rc = server.home / ".bashrc"
    rc.write_text("echo welcome\n")
    try:
        assert host.ask("hello")["uid"] == os.getuid()
    finally:
        rc.unlink()


# A connection that breaks ---------------------------------------------------------------------------------------------


def test_a_host_that_goes_away_is_lost_and_found(server: SshServer, host: Host) -> None:
    assert host.ask("hello")["uid"] == os.getuid()
    server.stop()
    with pytest.raises(HostUnreachable):
        host.ask("hello")
    with pytest.raises(HostUnreachable):
        host.ask("hello")
    server.start()
    wait_until(lambda: answers(host), "it is asked again by itself", 30.0)


def answers(host: Host) -> bool:
    try:
        return bool(host.ask("hello"))
    except HostUnreachable:
        return False


def test_who_looks_again_and_again_is_not_held_up_by_a_host_that_is_away(server: SshServer, host: Host) -> None:
    host.ask("hello")
    server.freeze()
    try:
        with pytest.raises(HostUnreachable):
            host.ask("hello", timeout_s=0.3)
        began = time.monotonic()
        for _ in range(20):
            with pytest.raises(HostUnreachable, match="did not answer"):
                host.ask("hello")
        assert time.monotonic() - began < host.login.connect_s / 2
    finally:
        server.freeze(thaw=True)
    wait_until(lambda: answers(host), "it is asked again by itself", 30.0)


def test_a_host_that_falls_silent_is_given_up_in_time(server: SshServer, host: Host) -> None:
    host.ask("hello")
    server.freeze()
    try:
        with pytest.raises(HostUnreachable, match=r"did not answer within 0.5 s"):
            host.ask("hello", timeout_s=0.5)
    finally:
        server.freeze(thaw=True)
    wait_until(lambda: answers(host), "it answers on a new connection", 30.0)


def test_threads_share_a_connection(server: SshServer, host: Host) -> None:
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda number=number: found.append(len(host.ask("read", f"~/t{number}") or b"")))
        for number in range(12)
    ]
    for number in range(12):
        host.ask("write", f"~/t{number}", b"x" * number, 0o600)
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(found) == list(range(12))
