#!/bin/sh
# Create a virtual environment: venv.sh DIRECTORY [PYTHON]
# Looks for Python 3.11 to 3.13, and copes with systems that split ensurepip into a package of its own.
set -eu

directory=$1
wanted=${2:-}

suitable() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

python=
for candidate in $wanted python3 python3.13 python3.12 python3.11; do
    if suitable "$candidate"; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    echo "error: Python 3.11, 3.12 or 3.13 is needed and none of them was found" >&2
    echo "hint: name one with: make PYTHON=/path/to/python3.13 ..." >&2
    exit 1
fi

rm -rf "$directory"
if "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    "$python" -m venv "$directory"
elif "$python" -m pip --version >/dev/null 2>&1 && "$python" -c 'import venv' 2>/dev/null; then
    # No ensurepip (Debian without python3-venv), but a pip that can install into another environment.
    "$python" -m venv --without-pip "$directory"
    "$python" -m pip --disable-pip-version-check --quiet --python "$directory/bin/python" install pip
elif [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    apt-get update -q >/dev/null
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends python3-venv >/dev/null
    "$python" -m venv "$directory"
else
    echo "error: this Python has neither ensurepip nor pip, so no virtual environment can be made" >&2
    echo "hint: install the package python3-venv, then run make again" >&2
    exit 1
fi
