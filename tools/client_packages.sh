#!/bin/sh
# Install the drivers of other languages that some tests use: node-postgres beside its test, Debian's JDBC driver.
# What cannot be had is named, and those tests skip by name; only where a runtime is there its driver is wanted.
set -u

cd "$(dirname "$0")/.." || exit 1

if command -v node >/dev/null 2>&1 && [ ! -e tests/clients/node/node_modules/pg ]; then
    if ! command -v npm >/dev/null 2>&1 ||
        ! npm ci --prefix tests/clients/node --silent --fetch-retries=1 --no-audit --no-fund --ignore-scripts >/dev/null 2>&1; then
        echo 'missing for some tests: node-postgres (npm ci --prefix tests/clients/node)' >&2
    fi
fi

if command -v java >/dev/null 2>&1 && [ ! -e /usr/share/java/postgresql.jar ]; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1 ||
        ! { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
            libpostgresql-jdbc-java; } >/dev/null 2>&1; then
        echo 'missing for some tests: the JDBC driver (as root: apt-get install libpostgresql-jdbc-java)' >&2
    fi
fi
exit 0
