"""What is done on a machine for the nodes there: processes, files, ports, logs.

This machine's deeds are plain calls of these functions. To another machine the text of this module is sent, and its
``python3`` runs :func:`serve`: so it imports nothing but the standard library, and is written for Python 3.8 too. What
goes over is a JSON array a line, ``[verb, arguments...]``, and back an object with ``result`` or ``error``.
"""

from __future__ import annotations

import base64
import errno
import fcntl
import hashlib
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from typing import Any, Sequence  # noqa: UP035

MARK = "heliosdb deeds 1"
"""The first line that :func:`serve` prints; what the shell there has printed before it is not meant for us."""
REMOVE_TRIES = 5
"""So often a directory is removed in which something has come meanwhile."""

BYTES = "$bytes"


# Processes ------------------------------------------------------------------------------------------------------------


def stat(pid: int) -> tuple[str, int]:
    """Letter of the state and start of a process (proc(5), fields 3 and 22); ``X`` and -1 when there is none."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
        return fields[0], int(fields[19])
    except (OSError, IndexError, ValueError):
        return "X", -1


def boot_id() -> str:
    """What the kernel calls this run of the machine."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def identify(pid: int) -> list[Any] | None:
    """Number, start in ticks and boot of a process; None when there is none."""
    ticks = stat(pid)[1]
    return [pid, ticks, boot_id()] if ticks >= 0 else None


def state(pid: int, start_ticks: int) -> str:
    """``running``, ``frozen``, or ``gone`` when it ended, its number being another process's by now or not."""
    letter, ticks = stat(pid)
    if ticks != start_ticks or letter == "X" or (letter == "Z" and not _has_threads(pid)):
        return "gone"
    return "frozen" if letter in "Tt" else "running"


def _has_threads(pid: int) -> bool:
    """Whether threads of a process are left whose first one has ended: they hold its ports and files until they end."""
    try:
        return len(os.listdir(f"/proc/{pid}/task")) > 1
    except OSError:
        return False


def send(pid: int, start_ticks: int, number: int) -> bool:
    """Send a signal to this very process; False when it is gone. PermissionError: it belongs to somebody else."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    except AttributeError:  # Python 3.8
        if state(pid, start_ticks) == "gone":
            return False
        os.kill(pid, number)
        return True
    try:
        # The descriptor holds the process fast; only then is it compared, so that nothing can slip between.
        if state(pid, start_ticks) == "gone":
            return False
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True


def find(record: str, directory: str | None) -> list[Any] | None:
    """The process that a record names, else the one of ours that holds a data directory; None when neither runs."""
    recorded = _recorded(at(record))
    if recorded is not None and recorded[2] == boot_id() and state(recorded[0], recorded[1]) != "gone":
        return recorded
    holder = _holder(at(directory)) if directory is not None else 0
    return identify(holder) if holder and _is_ours(holder) else None


def _recorded(path: str) -> list[Any] | None:
    try:
        with open(path, encoding="ascii") as file:
            content = json.load(file)
        return [int(content["pid"]), int(content["start_ticks"]), str(content["boot_id"])]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _holder(directory: str) -> int:
    """Who holds the lock of a data directory; 0 when nobody does. Takes it shared for an instant, never alone."""
    try:
        descriptor = os.open(directory + "/lock", os.O_RDONLY)
    except OSError:
        return 0
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return 0
    except BlockingIOError:
        try:
            return int(json.loads(os.pread(descriptor, 65536, 0))["pid"])
        except (ValueError, KeyError, TypeError):
            return 0
    finally:
        os.close(descriptor)


def _is_ours(pid: int) -> bool:
    """Whether a process runs our program: the number in a lock file is old for the instant after the lock is taken."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return b"helios" in file.read()
    except OSError:
        return False


def spawn(
    argv: list[str], log: str, environment: dict[str, str] | None = None, descriptors: Sequence[int] = ()
) -> list[Any] | None:
    """Start a process of its own session that outlives this one, and appends what it says to a log.

    None when it ended at once. Without an environment it has this one's, but no ``HELIOSDB_`` variable: nothing may
    set a node up otherwise than its command line. ``descriptors`` are its own from 3 on. OSError: the program or the
    log cannot be opened.
    """
    if environment is None:
        environment = {name: text for name, text in os.environ.items() if not name.startswith("HELIOSDB_")}
    words = [at(word) for word in argv]
    with open(at(log), "ab", opener=lambda path, flags: os.open(path, flags, 0o640)) as file:
        actions: list[tuple[Any, ...]] = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)]
        actions += [(os.POSIX_SPAWN_DUP2, file.fileno(), number) for number in (1, 2)]
        actions += [(os.POSIX_SPAWN_DUP2, one, number) for number, one in enumerate(descriptors, 3)]
        pid = os.posix_spawn(words[0], words, environment, setsid=True, file_actions=actions)
    return identify(pid)


def run(argv: list[str], timeout_s: float) -> list[Any]:
    """Run a short command: exit code, what it printed, what it said; -1 when it did not end in time, 127 without it."""
    try:
        done = subprocess.run(
            [at(word) for word in argv], stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return [-1, "", f"it did not end within {timeout_s:g} s"]
    except (FileNotFoundError, PermissionError) as error:
        return [127, "", error.strerror or str(error)]
    return [done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")]


def used_ports(wanted: list[list[Any]]) -> list[int]:
    """Of pairs of address and port those ports on which one could not listen."""
    return [port for address, port in wanted if not _is_free(address, port)]


def _is_free(address: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen(1)
        except OSError as error:
            # An address that this machine does not have, one behind address translation say, tells of no port.
            return error.errno == errno.EADDRNOTAVAIL
    return True


# Files ----------------------------------------------------------------------------------------------------------------


def at(path: str) -> str:
    """A path, with ``~`` as the home of whoever runs this."""
    return os.path.expanduser(path) if path.startswith("~") else path


def read(path: str, most: int = 1 << 20) -> bytes | None:
    """The first bytes of a file; None when there is none. OSError: it cannot be read."""
    try:
        with open(at(path), "rb") as file:
            return file.read(most)
    except FileNotFoundError:
        return None


def ending(path: str, most: int) -> bytes:
    """The last bytes of a file; empty when there is none. OSError: it cannot be read."""
    try:
        with open(at(path), "rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - most))
            return file.read()
    except FileNotFoundError:
        return b""


def write(path: str, data: bytes, mode: int) -> bool:
    """Write a file so that a reader sees the old bytes or the new ones; whether it was another one before.

    It is never readable for others than its mode says, and on the disk when this returns. Its directory is made.
    """
    path = at(path)
    try:
        with open(path, "rb") as there:
            if there.read() == data and os.fstat(there.fileno()).st_mode & 0o7777 == mode:
                return False
    except OSError:
        pass
    directory = os.path.dirname(path) or "."
    os.makedirs(directory, exist_ok=True)
    descriptor, aside = tempfile.mkstemp(dir=directory, prefix=f".{os.path.basename(path)}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), mode)
        os.replace(aside, path)
    except BaseException:
        _unlink(aside)
        raise
    return True


def begin_put(path: str, size: int) -> str:
    """Begin to put a large file somewhere; where its pieces go. OSError: no room for it, or no right."""
    path = at(path)
    directory = os.path.dirname(path) or "."
    os.makedirs(directory, exist_ok=True)
    for name in os.listdir(directory):
        if name.startswith(f".{os.path.basename(path)}."):
            _unlink(os.path.join(directory, name))  # of one that was cut off
    free = os.statvfs(directory)
    if free.f_bavail * free.f_frsize < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), directory)
    descriptor, aside = tempfile.mkstemp(dir=directory, prefix=f".{os.path.basename(path)}.")
    os.close(descriptor)
    return aside


def more(aside: str, data: bytes) -> None:
    """Another piece of a file that is put."""
    with open(aside, "ab") as file:
        file.write(data)


def finish_put(aside: str, path: str, mode: int, sha256: str) -> str:
    """Give it its name, if it is what was meant; empty, or the checksum of what came instead."""
    found = checksum(aside)
    if found != sha256:
        _unlink(aside)
        return found
    with open(aside, "rb") as file:
        os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())
    os.replace(aside, at(path))
    return ""


def checksum(path: str) -> str:
    """SHA-256 of a file in hexadecimal; empty when there is none."""
    try:
        with open(at(path), "rb") as file:
            digest = hashlib.sha256()
            for piece in iter(lambda: file.read(1 << 20), b""):
                digest.update(piece)
            return digest.hexdigest()
    except FileNotFoundError:
        return ""


def peek(path: str, begin: int, size: int) -> bytes:
    """Some bytes of a file that is there. OSError: it is not, or cannot be read."""
    with open(at(path), "rb") as file:
        return os.pread(file.fileno(), size, begin)


def poke(path: str, begin: int, data: bytes) -> None:
    """Write some bytes into a file that is there, in place. OSError: it is not, or cannot be written."""
    with open(at(path), "r+b") as file:
        os.pwrite(file.fileno(), data, begin)


def exists(path: str) -> bool:
    """Whether there is anything of that name."""
    return os.path.lexists(at(path))


def make(directory: str, mode: int = 0o755) -> None:
    """Make a directory and those above it, unless they are there."""
    os.makedirs(at(directory), mode=mode, exist_ok=True)


def move(path: str, name: str) -> None:
    """Give a file another name, in place of what has it. OSError: it is not there, or there is no right."""
    os.replace(at(path), at(name))


def remove(path: str) -> bool:
    """Remove a file, or a directory with all that is in it; whether it was there."""
    path = at(path)
    if os.path.isdir(path) and not os.path.islink(path):
        for left in reversed(range(REMOVE_TRIES)):
            try:
                shutil.rmtree(path)
                break
            except OSError as error:
                if error.errno != errno.ENOTEMPTY or not left:
                    raise
                time.sleep(0.2)  # who was told to end has written once more
        return True
    return _unlink(path)


def remove_empty(directory: str) -> bool:
    """Remove a directory in which nothing is; whether it was so."""
    try:
        os.rmdir(at(directory))
    except OSError:
        return False
    return True


def _unlink(path: str) -> bool:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True


def oldest(path: str) -> list[int] | None:
    """The mark of the begin of the log that was rotated last; None when there is none."""
    try:
        return [os.stat(at(path) + ".1").st_ino, 0]
    except FileNotFoundError:
        return None


def grown(path: str, mark: list[int] | None, most: int) -> list[Any]:
    """What has come to a log behind a mark: the next mark, the bytes, and whether the file ends there for good.

    A mark is the number of a file and a place in it; None is the begin of what the name means now. A name that means
    another file was rotated: the rest of the old one comes first, if it is ``PATH.1``. One that was cut off begins
    anew.
    """
    path = at(path)
    older = path + ".1"
    for name in (path, older):
        try:
            with open(name, "rb") as file:
                there = os.fstat(file.fileno())
                if mark is not None and mark[0] != there.st_ino:
                    continue
                begin = mark[1] if mark is not None and mark[1] <= there.st_size else 0
                file.seek(begin)
                data = file.read(most)
                ended = name == older and len(data) < most and os.path.exists(path)  # else what comes goes on here
                return [None if ended else [there.st_ino, begin + len(data)], data, ended]
        except FileNotFoundError:
            continue
    # Neither is the one that was read: it is gone, and what the name means now is new from its begin.
    return [None, b"", mark is not None and os.path.exists(path)]


# Over the wire --------------------------------------------------------------------------------------------------------


def hello() -> dict[str, Any]:
    """What a machine is."""
    return {
        "python": list(sys.version_info[:3]), "home": os.path.expanduser("~"), "uid": os.getuid(),
        "machine": f"{sys.platform}-{os.uname().machine}", "system": platform.platform(),
        "boot_id": boot_id(), "systemctl": shutil.which("systemctl") is not None,
    }  # fmt: skip


def encode(value: Any) -> bytes:
    """A value as a line; bytes may be anywhere in it."""
    return json.dumps(value, default=lambda one: {BYTES: base64.b64encode(one).decode()}).encode() + b"\n"


def decode(line: bytes) -> Any:
    """The value of a line. ValueError: it is none."""
    return json.loads(line, object_hook=lambda one: base64.b64decode(one[BYTES]) if BYTES in one else one)


def serve() -> None:
    """Do what is asked on standard input, until it ends."""
    out = sys.stdout.buffer
    out.write(MARK.encode() + b"\n")
    out.flush()
    for line in sys.stdin.buffer:
        try:
            verb, *arguments = decode(line)
            answer = {"result": globals()[verb](*arguments)}
        except OSError as error:
            answer = {"error": [error.errno or 0, error.strerror or str(error), error.filename]}
        except Exception as error:
            answer = {"error": [0, f"{type(error).__name__}: {error}", None]}
        out.write(encode(answer))
        out.flush()


if __name__ == "deeds-there":
    serve()
