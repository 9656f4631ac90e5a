#!/bin/sh
# Install the Debian packages that some tests use; debian_packages.sh [--if-possible]
# Without root or apt-get it prints what is missing and fails, or with --if-possible goes on: those tests skip by name.
set -eu

if_possible=${1:-}

postgresql_has() {
    for directory in /usr/lib/postgresql/*/bin; do
        [ -x "$directory/$1" ] && return 0
    done
    command -v "$1" >/dev/null 2>&1
}

missing=
postgresql_has postgres || missing="$missing postgresql-15"
postgresql_has pgbench || missing="$missing postgresql-contrib"
postgresql_has psql || missing="$missing postgresql-client-15"
command -v etcd >/dev/null 2>&1 || missing="$missing etcd-server"
command -v etcdctl >/dev/null 2>&1 || missing="$missing etcd-client"
command -v tmux >/dev/null 2>&1 || missing="$missing tmux"
# Where they are not on the path of a plain user they may still be installed.
PATH="$PATH:/usr/sbin:/sbin"
command -v pgbouncer >/dev/null 2>&1 || missing="$missing pgbouncer"
command -v ip >/dev/null 2>&1 || missing="$missing iproute2"
command -v nft >/dev/null 2>&1 || missing="$missing nftables"
command -v fsfreeze >/dev/null 2>&1 || missing="$missing util-linux"
command -v mkfs.ext4 >/dev/null 2>&1 || missing="$missing e2fsprogs"
command -v sshd >/dev/null 2>&1 || missing="$missing openssh-server"

if [ -z "$missing" ]; then
    [ -n "$if_possible" ] || echo "every Debian package the tests use is here"
    exit 0
fi

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "missing for some tests:$missing" >&2
    [ -n "$if_possible" ] && exit 0
    echo "hint: as root: apt-get install$missing" >&2
    exit 1
fi

echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive UCF_FORCE_CONFFOLD=1
# A server that the package started would sit on port 5432, which is this product's own default.
if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
    mkdir -p /etc/postgresql-common
    echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
fi
# Nor an etcd, a PgBouncer or an sshd on its own ports: what policy-rc.d forbids to start is only installed.
policy=/usr/sbin/policy-rc.d
forbids=
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\ncase "$1" in etcd*|pgbouncer*|ssh*) exit 101 ;; esac\n' >"$policy"
    chmod 755 "$policy"
    forbids=yes
fi
trap '[ -z "$forbids" ] || rm -f "$policy"' EXIT
apt-get update -q >/dev/null
# shellcheck disable=SC2086 -- the list is meant to be split
apt-get install -q -y --no-install-recommends $missing >/dev/null
