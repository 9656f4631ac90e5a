"""Reports that are signed: a JSON file of which no byte can be changed unnoticed.

    {"report": {...}, "signature": {"algorithm": "Ed25519", "public_key": "...", "value": "..."}}

The signature is of the report in canonical form: UTF-8, keys sorted, no blanks (as RFC 8785 has it, for the values that
occur here). The file is exactly what :func:`signed` writes, so that a blank more is a change, too.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from helios_cli.engine.errors import ConfigError, HeliosError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ALGORITHM: Final = "Ed25519"
KEY_VARIABLE: Final = "HELIOSDB_PROVE_KEY"
KEY_HINT: Final = "Name another key with --key FILE, or remove this one: the next run makes a new one."
REPORT_BYTES_MAX: Final = 64 << 20


class Tampered(HeliosError):
    """The file is not what was signed."""

    sqlstate = "XX001"


@dataclass(frozen=True, slots=True)
class Verified:
    """A report whose signature is right."""

    report: Mapping[str, Any]
    public_key: str
    """Of who signed it, base64."""

    @property
    def fingerprint(self) -> str:
        """Of that key, to compare by eye."""
        return fingerprint(self.public_key)


def key_file(environ: Mapping[str, str], named: Path | None = None) -> Path:
    """Where the key is: what was named, else HELIOSDB_PROVE_KEY, else in the user's directory of settings."""
    if named is not None:
        return named
    if environ.get(KEY_VARIABLE):
        return Path(environ[KEY_VARIABLE])
    settings = environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(settings) / "heliosdb" / "prove.key"


def load_key(path: Path) -> Ed25519PrivateKey:
    """The private key of a file, which is made with mode 0600 when it is not there.

    Raises:
        ConfigError: it is no such key, or others may read it. OSError: it cannot be read or written.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if not path.exists():
        _make_key(path)
    if path.stat().st_mode & 0o077:
        raise ConfigError(f"{path} can be read by others than its owner", hint=f"chmod 600 {path}")
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (ValueError, TypeError):
        raise ConfigError(f"{path} is no private key", hint=KEY_HINT) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{path} is a key of another kind than {ALGORITHM}", hint=KEY_HINT)
    return key


def _make_key(path: Path) -> None:
    """All of it or nothing; of two who make it at once one wins."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        if not path.exists():
            os.link(aside, path)
    except FileExistsError:
        pass
    finally:
        aside.unlink()


def public_text(key: Ed25519PrivateKey) -> str:
    """The public half, base64 of its 32 bytes."""
    return base64.b64encode(key.public_key().public_bytes_raw()).decode("ascii")


def fingerprint(public_key: str) -> str:
    """``SHA256:`` and the hash of the key's bytes, as OpenSSH shows them."""
    digest = hashlib.sha256(base64.b64decode(public_key)).digest()
    return "SHA256:" + base64.b64encode(digest).decode("ascii").rstrip("=")


def canonical(value: object) -> bytes:
    """One form for one value."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def signed(report: Mapping[str, Any], key: Ed25519PrivateKey) -> bytes:
    """The bytes of the file."""
    value = base64.b64encode(key.sign(canonical(report))).decode("ascii")
    return _file_of(report, {"algorithm": ALGORITHM, "public_key": public_text(key), "value": value})


def _file_of(report: object, signature: object) -> bytes:
    text = json.dumps({"report": report, "signature": signature}, ensure_ascii=False, indent=1, allow_nan=False)
    return text.encode() + b"\n"


def verify(data: bytes, name: str) -> Verified:
    """Check the bytes of a file; ``name`` is what errors call it.

    Raises:
        ConfigError: it is no report at all. Tampered: it is not what was signed.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        content = json.loads(data)
        report, signature = content["report"], content["signature"]
        public_key, value = str(signature["public_key"]), str(signature["value"])
        raw_key = base64.b64decode(public_key, validate=True)
        key = Ed25519PublicKey.from_public_bytes(raw_key)
        raw = base64.b64decode(value, validate=True)
        if not isinstance(report, dict):
            raise TypeError
    except (ValueError, KeyError, TypeError):
        raise Tampered(
            f"{name} is no signed report", hint="heliosdb-nano prove run writes them; a copy must be of every byte."
        ) from None
    try:
        key.verify(raw, canonical(report))
    except InvalidSignature:
        raise Tampered(
            f"{name} is not what was signed: it was changed, or its signature was",
            hint="Ask for it again from who made it.",
        ) from None
    # Encoded again: the last digit of base64 has bits that nobody looks at.
    again = {name: base64.b64encode(one).decode("ascii") for name, one in (("public_key", raw_key), ("value", raw))}
    if data != _file_of(report, {"algorithm": ALGORITHM, **again}):
        raise Tampered(f"{name} was changed, though in nothing that it says", hint="Ask for it again from who made it.")
    return Verified(report, public_key)


def read(path: Path) -> bytes:
    """The bytes of a report.

    Raises:
        ConfigError: it cannot be read, or is far too large.
    """
    try:
        if path.stat().st_size > REPORT_BYTES_MAX:
            raise ConfigError(f"{path} is larger than any report")
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
