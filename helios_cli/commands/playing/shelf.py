"""Where playbooks lie: the shipped ones in the package or beside it, others wherever somebody has put them."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

from helios_cli.engine.errors import ConfigError, HeliosError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

SUFFIX: Final = ".toml"
ORDER: Final = (
    "switchover", "failover-drill", "rolling-restart", "load-with-failover", "application-continuity",
    "cascading-failure", "network-partition", "add-standby", "remove-standby", "disaster-recovery",
    "split-brain-recovery",
)  # fmt: skip
"""That of a list; others come behind, by name."""


def shipped() -> dict[str, str]:
    """The texts of the shipped playbooks by name, in the order of a list.

    Raises:
        ConfigError: the installation lacks them.
    """
    for place in _places():
        found = {
            one.name.removesuffix(SUFFIX): one.read_text(encoding="utf-8")
            for one in place.iterdir()
            if one.name.endswith(SUFFIX)
        }
        names = sorted(found, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))
        return {name: found[name] for name in names}
    raise ConfigError("this installation has no playbooks", hint="Install the product again, or name a file.")


def _places() -> Iterator[Traversable]:
    """``helios_cli/playbooks`` of a wheel or a zip file; ``playbooks`` of a source tree."""
    package = files("helios_cli")
    beside = Path(__file__).resolve().parents[3] / "playbooks"
    for place in (package / "playbooks", beside):
        if place.is_dir():
            yield place


def find(named: str) -> tuple[str, str]:
    """Name and text of the playbook that is meant: a path, or the name of a shipped one.

    Raises:
        HeliosError: there is none (42704). ConfigError: its file cannot be read.
    """
    if named.endswith(SUFFIX) or "/" in named:
        return Path(named).name.removesuffix(SUFFIX), _text(Path(named))
    known = shipped()
    if named in known:
        return named, known[named]
    from difflib import get_close_matches

    near = get_close_matches(named, list(known), 1)
    raise HeliosError(
        f"there is no playbook {named!r}" + (f"; did you mean {near[0]!r}?" if near else ""), sqlstate="42704",
        hint="heliosdb-nano playbook list shows those that are shipped; a path ending in .toml names another.",
    )  # fmt: skip


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is no text in UTF-8") from None
