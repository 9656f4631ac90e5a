"""Make the single-file executable: the product and the packages of requirements.lock, for this Python and this machine.

    python tools/binary.py [--output dist/heliosdb-nano] [--quick]

The packages are those of the environment that runs it, which `make install` has put there by their hashes. The same
content gives the same bytes.
"""

from __future__ import annotations

import argparse
import compileall
import hashlib
import io
import json
import os
import py_compile
import re
import shutil
import sys
import tempfile
import zipfile
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = {"pip"}
"""What sqlite-utils asks for to install plugins, and nobody here calls."""
DATE = (1980, 1, 1, 0, 0, 0)


def locked(text: str) -> list[tuple[str, str, bool]]:
    """Name, version and whether it is for some systems only, of each package of a lock file."""
    found = re.findall(r"^([a-z0-9][a-z0-9._-]*)(?:\[[^]]*\])?==(\S+)( ;)?", text, re.MULTILINE)
    return [(name, version, bool(marker)) for name, version, marker in found]


def copy_packages(target: Path) -> None:
    """The files of every locked package, and of the product."""
    for name, version, conditional in locked((ROOT / "requirements.lock").read_text()):
        if name in LEFT_OUT:
            continue
        try:
            package = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            if conditional:
                continue
            sys.exit(f"error: {name} is not installed\nhint: make install")
        if package.version != version:
            sys.exit(f"error: {name} {package.version} is installed, the lock has {version}\nhint: make install")
        for file in package.files or ():
            source = Path(str(package.locate_file(file)))
            if file.parts[0] == ".." or file.suffix == ".pyc" or file.name in ("RECORD", "direct_url.json"):
                continue
            if source.is_file():
                (target / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target / file)
    shutil.copytree(ROOT / "helios_cli", target / "helios_cli", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "playbooks", target / "helios_cli" / "playbooks")  # as in the wheel


def packed(directory: Path, level: int = 9) -> bytes:
    """The directory as a zip file whose bytes depend on names and contents alone."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(directory.rglob("*")):
            if path.is_file():
                put(archive, str(path.relative_to(directory)), path.read_bytes(), zipfile.ZIP_DEFLATED, level)
    return buffer.getvalue()


def put(archive: zipfile.ZipFile, name: str, data: bytes, how: int, level: int | None = None) -> None:
    """Add one file."""
    entry = zipfile.ZipInfo(name, DATE)
    entry.compress_type, entry.external_attr = how, 0o644 << 16
    archive.writestr(entry, data, compresslevel=level)


def gathered(*, quick: bool) -> bytes:
    """The packages as a zip file, compiled unless it is to be quick."""
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch) / "packages"
        target.mkdir()
        copy_packages(target)
        if not quick:
            # Checked by nobody afterwards: what is unpacked is not changed.
            sys.pycache_prefix = None  # beside the modules, whatever the environment says
            unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
            compileall.compile_dir(target, quiet=2, stripdir=str(target), invalidation_mode=unchecked, workers=0)
        return packed(target, level=1 if quick else 9)


def write(output: Path, packages: bytes) -> None:
    """Write the executable that unpacks and runs these packages, and the links by its other names."""
    start = (ROOT / "tools" / "binary_main.py").read_bytes()
    about = {
        "hash": hashlib.sha256(start + packages).hexdigest()[:32],
        "python": "{}.{}".format(*sys.version_info[:2]),
        "machine": f"{sys.platform}-{os.uname().machine}",
        "glibc": "CS_GNU_LIBC_VERSION" in os.confstr_names and bool(os.confstr("CS_GNU_LIBC_VERSION")),
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    unfinished = output.with_name(f".{output.name}.new")
    with unfinished.open("wb") as file:
        file.write(b"#!/usr/bin/env python3\n")
        with zipfile.ZipFile(file, "a") as archive:
            put(archive, "__main__.py", start, zipfile.ZIP_DEFLATED)
            put(archive, "build.json", json.dumps(about).encode(), zipfile.ZIP_STORED)
            put(archive, "packages.zip", packages, zipfile.ZIP_STORED)
    unfinished.chmod(0o755)
    unfinished.replace(output)
    for name in ("heliosdb-cli", "heliosdb-proxy"):
        link = output.with_name(name)
        link.unlink(missing_ok=True)
        link.symlink_to(output.name)
    size = output.stat().st_size / (1 << 20)
    print(f"wrote {output}: {size:.1f} MiB, for Python {about['python']} on {about['machine']}")


def main() -> None:
    """Read the arguments and build."""
    parser = argparse.ArgumentParser(description="Make the single-file executable.")
    parser.add_argument("--output", type=Path, default=Path("dist/heliosdb-nano"))
    parser.add_argument("--quick", action="store_true", help="quicker to make, larger, slower at its first start")
    given = parser.parse_args()
    write(given.output, gathered(quick=given.quick))


if __name__ == "__main__":
    main()
