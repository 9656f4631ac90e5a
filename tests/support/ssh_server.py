"""A real sshd of the test's own on loopback: its own host key, port, home, programs and authorized keys."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
from support.node_process import ROOT, free_port, wait_until

from helios_cli.engine.remote.login import Login

SYSTEMCTL = Path(__file__).with_name("fake_systemctl.py")

CONFIG = """
ListenAddress 127.0.0.1
Port {port}
HostKey {home}/host_key
AuthorizedKeysFile {home}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
MaxSessions 100
MaxStartups 100
SetEnv HOME={home}/home PATH={home}/bin
"""


class SshServer:
    """One server. Who logs in has ``home/home`` as home, so that ``~`` there is not what it is here."""

    def __init__(self, directory: Path, program: Callable[[str], str]) -> None:
        self._sshd = program("sshd")
        self._keygen = program("ssh-keygen")
        self.directory = directory
        self.home = directory / "home"
        self.port = free_port()
        for path in (self.home, directory / "bin"):
            path.mkdir(parents=True)
        for name in ("host_key", "id_ed25519", "other_key"):
            self.generate(name)
        shutil.copyfile(directory / "id_ed25519.pub", directory / "authorized_keys")
        for name in ("true", "sleep"):
            os.symlink(program(name), directory / "bin" / name)
        os.symlink(sys.executable, directory / "bin" / "python3")
        (directory / "config").write_text(CONFIG.format(port=self.port, home=directory))
        if os.getuid() == 0:
            os.makedirs("/run/sshd", exist_ok=True)  # where an sshd of root's goes to be nobody
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def generate(self, name: str) -> None:
        """A key pair in its directory, in place of one of that name."""
        for path in (self.directory / name, self.directory / f"{name}.pub"):
            path.unlink(missing_ok=True)
        subprocess.run(
            [self._keygen, "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(self.directory / name)], check=True
        )

    @property
    def host_key(self) -> str:
        """As host_key of a cluster.toml has it."""
        return (self.directory / "host_key.pub").read_text().strip()

    @property
    def identity_file(self) -> str:
        """The key that lets in."""
        return str(self.directory / "id_ed25519")

    def login(self, **more: object) -> Login:
        """How it is reached, with its right key, unless something else is wanted."""
        wanted: dict[str, object] = {
            "port": self.port, "identity_file": self.identity_file, "host_key": self.host_key, "connect_s": 20.0,
        }  # fmt: skip
        return Login("db1", "127.0.0.1", **(wanted | more))  # type: ignore[arg-type]

    def start(self) -> None:
        """Have it answer."""
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._sshd, "-D", "-e", "-f", str(self.directory / "config")], stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, env={"PATH": os.environ.get("PATH", "/usr/bin:/bin")},
            )  # fmt: skip
        wait_until(self._answers, "sshd answers", 30.0)

    def _answers(self) -> bool:
        assert self._process is not None
        said = (self.directory / "log").read_text(errors="replace")
        assert self._process.poll() is None, f"sshd ended: {said}"
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1.0) as probe:
                return probe.recv(4).startswith(b"SSH-")
        except OSError:
            return False

    def stop(self) -> None:
        """End it with all its sessions, as a machine ends that loses its network; what they started runs on."""
        if self._process is not None:
            for one in self._all():
                with contextlib.suppress(psutil.Error):
                    one.send_signal(signal.SIGKILL)
            self._process.wait(10)
            self._process = None

    def freeze(self, *, thaw: bool = False) -> None:
        """Have it do nothing with its connections open, as behind a network that drops packets; or go on."""
        for one in self._all():
            with contextlib.suppress(psutil.Error):
                one.send_signal(signal.SIGCONT if thaw else signal.SIGSTOP)

    def _all(self) -> list[psutil.Process]:
        assert self._process is not None
        server = psutil.Process(self._process.pid)
        return [server, *(one for one in server.children(recursive=True) if one.name().startswith("sshd"))]

    def table(self, name: str, **more: object) -> str:
        """A ``[hosts.NAME]`` of cluster.toml whose directory is the name's in the home there."""
        wanted: dict[str, object] = {
            "address": "127.0.0.1", "port": self.port, "identity_file": self.identity_file,
            "host_key": self.host_key, "directory": f"~/{name}",
        }  # fmt: skip
        lines = [f"{key} = {value!r}" for key, value in (wanted | more).items()]
        return "\n".join([f"[hosts.{name}]", *lines, ""])

    def systemctl(self) -> None:
        """Have a systemd there, as far as it is told from outside."""
        path = self.directory / "bin" / "systemctl"
        path.write_text(f"#!{sys.executable}\n" + SYSTEMCTL.read_text())
        path.chmod(0o755)

    def close(self) -> None:
        """End it, and whatever runs from its home."""
        self.stop()
        mark = str(self.directory)
        for one in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if any(mark in word for word in one.cmdline()) or one.environ().get("HOME", "").startswith(mark):
                    one.kill()


def stand_in(path: Path, version: str = "") -> Path:
    """A program of this checkout in the place of the single-file executable, which is quicker made and sent."""
    said = f"import helios_cli; helios_cli.__version__ = {version!r}; " if version else ""
    code = f"{said}import sys; from helios_cli.cli import main; sys.exit(main())"
    path.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -c "{code}" "$@" # heliosdb {version}\n')
    path.chmod(0o755)
    return path
