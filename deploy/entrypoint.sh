#!/bin/sh
# What a container of the image runs: `server ...`, `start ...` and every other verb of heliosdb-nano, flags of `start`
# alone, one of the three programs by its name, or a program of the system by its path.
set -eu

case "${1:-}" in
heliosdb-nano | heliosdb-proxy | heliosdb-cli | sh | bash | sleep | /*) ;;
"" | -*) set -- heliosdb-nano start "$@" ;;
*) set -- heliosdb-nano "$@" ;;
esac
exec "$@"
