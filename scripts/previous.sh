#!/bin/sh
# Builds the program as it was before the newest migration of the PostgreSQL schema, from this repository's history, and prints
# where it is: a test runs it beside the present one on one database. With `check`, says only whether it can be built. Whoever
# adds a migration puts the commit before it here.
set -eu
PREVIOUS=3a2e8681b0ad30c6e91d18005d4c7e5220e75897
cd "$(dirname "$0")/.."
place="$PWD/target/previous"
program="$place/$PREVIOUS"
if [ ! -x "$program" ]; then
    if ! git cat-file -e "$PREVIOUS^{commit}" 2>/dev/null; then
        echo "a test needs the program of commit $PREVIOUS, which is not in this copy's history: fetch the whole history" >&2
        echo "(git fetch --unshallow), or work in a whole clone (git clone) if this is no clone at all" >&2
        exit 1
    fi
    [ "${1:-build}" != check ] || exit 0
    echo "building the program as it was before the newest migration (once, takes minutes)" >&2
    mkdir -p "$place"
    # What a build that failed has left is of another commit, and its files may be younger than these.
    rm -rf "$place/source" "$place/build"
    # A copy without a work tree of its own: nothing of git's is left behind, whatever happens.
    mkdir "$place/source"
    git archive "$PREVIOUS" | tar -x -C "$place/source"
    CARGO_TARGET_DIR="$place/build" cargo build --quiet --locked --package hongyan --manifest-path "$place/source/Cargo.toml" >&2
    mv "$place/build/debug/hongyan" "$program"
    rm -rf "$place/source" "$place/build"
fi
[ "${1:-build}" = check ] || echo "$program"
