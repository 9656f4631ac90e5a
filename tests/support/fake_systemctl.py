"""A user's systemctl, as far as units of ours need one: each has a keeper that starts it again when it fails.

Run as ``systemctl``; what it keeps is in ~/.systemctl. It knows start, stop, show of the main process, enable, disable,
daemon-reload and reset-failed, and refuses all else.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

HOME = Path(os.environ["HOME"])
UNITS = HOME / ".config" / "systemd" / "user"
KEPT = HOME / ".systemctl"


def settings(unit: str) -> dict[str, str]:
    """The last of each setting of a unit."""
    lines = (UNITS / unit).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def keep(unit: str) -> None:
    """Run a unit, again when it fails, until it is to stop."""
    found = settings(unit)
    name, _, value = found["Environment"].partition("=")
    while not (KEPT / f"{unit}.stop").exists():
        with open(found["StandardOutput"].removeprefix("append:"), "ab") as log:
            process = subprocess.Popen(
                shlex.split(found["ExecStart"]), cwd=found["WorkingDirectory"], stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, env=os.environ | {name: value},
            )  # fmt: skip
        aside = KEPT / f"{unit}.new"
        aside.write_text(str(process.pid))
        aside.rename(KEPT / unit)
        code = process.wait()
        (KEPT / unit).unlink(missing_ok=True)
        if code in (0, int(found["RestartPreventExitStatus"])):
            break
        time.sleep(float(found["RestartSec"]))


def main_process(unit: str) -> int:
    try:
        return int((KEPT / unit).read_text())
    except (OSError, ValueError):
        return 0


def start(unit: str) -> None:
    if main_process(unit):
        return
    (KEPT / f"{unit}.stop").unlink(missing_ok=True)
    subprocess.Popen(
        [sys.executable, __file__, "keep", unit], start_new_session=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while not main_process(unit):
        time.sleep(0.01)


def stop(unit: str) -> None:
    (KEPT / f"{unit}.stop").touch()
    if pid := main_process(unit):
        os.kill(pid, signal.SIGTERM)
    while main_process(unit):
        time.sleep(0.01)


def main() -> None:
    KEPT.mkdir(parents=True, exist_ok=True)
    verb, *rest = [word for word in sys.argv[1:] if word != "--user"]
    if verb == "keep":
        keep(rest[0])
    elif verb == "show" and rest[:2] == ["--property=MainPID", "--value"]:
        print(main_process(rest[2]))
    elif verb in ("start", "stop", "enable", "disable") and not (UNITS / rest[0]).exists():
        sys.exit(f"Failed to {verb} {rest[0]}: Unit {rest[0]} not found.")
    elif verb in ("start", "stop"):
        (start if verb == "start" else stop)(rest[0])
    elif verb == "enable":
        (KEPT / f"{rest[0]}.enabled").touch()
    elif verb == "disable":
        (KEPT / f"{rest[0]}.enabled").unlink(missing_ok=True)
    elif verb not in ("daemon-reload", "reset-failed"):
        sys.exit(f"Unknown operation {verb}.")


if __name__ == "__main__":
    main()
