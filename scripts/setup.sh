#!/bin/sh
# Installs what a build (`build`) or the tests (`test`) need beyond the Rust toolchain: Debian packages, and for the tests a
# Python environment in .venv with the foreign clients and servers that judge ours. Does nothing where all is there.
set -eu
cd "$(dirname "$0")/.."

# Installs the Debian package $2 unless the command $1 is there.
need() {
    PATH="$PATH:/usr/sbin" command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}

missing=""
need cc gcc
[ -e /usr/include/stdio.h ] || missing="$missing libc6-dev"
if [ "${1:-build}" = test ]; then
    # Before anything takes time: what a test builds from the history must be in it.
    scripts/previous.sh check
    need smtp-sink postfix
    need python3 python3
    python3 -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python3-venv"
    ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || need postgres postgresql
fi
if [ -n "$missing" ]; then
    echo "installing:$missing" >&2
    export DEBIAN_FRONTEND=noninteractive UCF_FORCE_CONFFOLD=1
    # The tests want Postfix's smtp-sink, not a mail server of the machine.
    echo "postfix postfix/main_mailer_type select No configuration" | debconf-set-selections 2>/dev/null || true
    case $missing in
    *postgresql*)
        # The tests start servers of their own: the package shall not make one for the machine and start it. What somebody
        # has decided about that stays.
        if ! grep -qs '^ *create_main_cluster' /etc/postgresql-common/createcluster.conf; then
            mkdir -p /etc/postgresql-common
            echo 'create_main_cluster = false' >>/etc/postgresql-common/createcluster.conf
        fi
        ;;
    esac
    apt-get update -qq
    # shellcheck disable=SC2086 — a list of packages
    apt-get install -y -qq --no-install-recommends $missing >&2
fi

if [ "${1:-build}" = test ]; then
    if ! cmp -s tests/requirements.txt .venv/installed.txt; then
        rm -rf .venv
        python3 -m venv .venv
        .venv/bin/python -m pip install --quiet --require-virtualenv -r tests/requirements.txt
        cp tests/requirements.txt .venv/installed.txt
    fi
fi
