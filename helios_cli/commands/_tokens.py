"""The tokens with which a node's admin verbs are asked: its own, and the one that its cluster shares."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from helios_cli.engine.errors import ConfigError
from helios_cli.engine.net.http_token import cluster_token
from helios_cli.engine.storage import secret

VARIABLE: Final = "HELIOSDB_HTTP_TOKEN"
SECRET_FILE_VARIABLE: Final = "HELIOSDB_CLUSTER_SECRET_FILE"


def tokens(
    name: str, files: Sequence[str], secret_files: Sequence[str], environ: Mapping[str, str] = os.environ
) -> list[str]:
    """What a node may take, in the order in which it is tried; at least one, none twice.

    First its own token, of the first of ``files`` that can be read, then that of HELIOSDB_HTTP_TOKEN, then those made
    of the cluster's secret, which any node of the cluster takes.

    Raises:
        ConfigError: there is none.
    """
    found = [*_own(files, environ), *_of_cluster(secret_files, environ)]
    if found:
        return list(dict.fromkeys(found))
    tried = [*files, *secret_files]
    raise ConfigError(
        f"no token for {name}" + (f" ({', '.join(tried)} cannot be read)" if tried else ""),
        hint="Any node of a cluster takes one made of the cluster's secret: give its file with --cluster-secret-file. "
        f"Its own is in http.token of its data directory: --token-file, or the text in {VARIABLE}.",
    )


def _own(files: Sequence[str], environ: Mapping[str, str]) -> Iterator[str]:
    for file in files:
        try:
            text = Path(file).read_text(encoding="ascii", errors="replace").strip()
        except OSError:
            continue
        if text:
            yield text
            break
    if environ.get(VARIABLE, "").strip():
        yield environ[VARIABLE].strip()


def _of_cluster(files: Sequence[str], environ: Mapping[str, str]) -> Iterator[str]:
    secrets = []
    for file in files:
        try:
            secrets.append(Path(file).read_bytes().strip())
        except OSError:
            continue
    secrets.append(environ.get(secret.VARIABLE, "").encode())
    yield from filter(None, map(cluster_token, secrets))
