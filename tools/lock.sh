#!/bin/sh
# Write the three lock files: every version pinned, every file by its hash, for all platforms and Python 3.11 to 3.13.
# The resolver lives in an environment of its own, so that what it needs never reaches the product's.
set -eu

[ -x .venv-lock/bin/uv ] || {
    sh tools/venv.sh .venv-lock
    .venv-lock/bin/python -m pip --disable-pip-version-check --quiet install uv
}

compile() {
    .venv-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --custom-compile-command 'make lock' "$@"
}

compile pyproject.toml --output-file requirements.lock
compile pyproject.toml --group dev --constraint requirements.lock --output-file requirements-dev.lock
compile --group build --output-file requirements-build.lock
