#!/bin/bash
# Run by `make demo`: the first commands of a new user. Exit status 0 only if every step has the expected result.
#
#   CB_DEMO    directory of the demo, made anew each time (default: build/demo)
#   CB_CACHE   kept, so that the next run is quick (default: build/cache)
set -euo pipefail
cd "$(dirname "$0")/.."

top=${CB_DEMO:-$PWD/build/demo}
source=$top/source
export CB_HOME=$top/home CB_CACHE=${CB_CACHE:-$PWD/build/cache} CB_REQUEST__POLL_INTERVAL=2
export CB_RUNNER__WORK=$CB_CACHE/work
export PATH=$PWD/.venv/bin:$PATH
export GIT_AUTHOR_NAME=Demo GIT_AUTHOR_EMAIL=demo@localhost GIT_COMMITTER_NAME=Demo GIT_COMMITTER_EMAIL=demo@localhost

bold='' plain=''
if [ -t 1 ]; then bold=$'\e[1m' plain=$'\e[0m'; fi

say() { printf '\n%s# %s%s\n' "$bold" "$*" "$plain"; }

run() {
    printf '%s$ %s%s\n' "$bold" "$*" "$plain"
    "$@"
}

# Files in build roots belong to subordinate ids if an ordinary user runs this.
remove() { rm -rf "$@" 2>/dev/null || unshare --map-auto --map-root-user rm -rf "$@"; }

finish() {
    status=$?
    trap - EXIT INT TERM
    [ -z "${up:-}" ] || cb-ctl down >/dev/null 2>&1 || true
    [ $status = 0 ] || printf '\nThe demo failed after %d s. Logs of the daemons: %s\n' "$SECONDS" "$CB_HOME/log" >&2
    exit $status
}

# Fails unless the greeting of the installed package contains the text.
installs_and_prints() {
    run cb-ctl try example-bookworm greeting-card -- greeting-card --hour 15 Ada | tee "$top/output"
    grep -qF "$1" "$top/output" || { echo "error: expected: $1" >&2; return 1; }
}

# Waits for the request of a push, and prints its id. $1: the request of the push before it.
request_of_push() {
    for _ in $(seq 100); do
        cb-ctl list requests --json | python3 -c '
import json, sys
rows = json.load(sys.stdin)
ids = (row["request_id"] for row in rows if row["origin"] == "push")
print(next((id for id in ids if id != sys.argv[1]), ""))' "${1:-}" | grep . && return
        sleep 0.3
    done
    echo 'error: the push was not noticed within 30 s' >&2
    return 1
}

trap finish EXIT
trap 'exit 130' INT TERM

[ ! -d "$CB_HOME" ] || cb-ctl down >/dev/null 2>&1 || true
remove "$top"
mkdir -p "$source"

say 'Three packages in a git repository: greeting-card build-depends on greet, and greet on libgreet.'
cp -R sources-example/projects "$source"
run git -C "$source" init --quiet --initial-branch main
run git -C "$source" add .
run git -C "$source" commit --quiet --message 'Three packages'
ls "$source/projects/packages"

say 'Start five daemons on this machine, connected by the broker in the confluent-kafka wheel.'
up=yes
run cb-ctl up --detach --runners 1 --broker embedded --port 0 --source "example=$source"

say 'Build everything, dependencies first. The first time, KIWI prepares a build root: about half a minute.'
run cb-ctl request --all --watch

say 'The packages are in a signed apt repository.'
run cb-ctl list repositories

say 'Install greeting-card with apt into a throw-away root, and run it.'
installs_and_prints 'Good afternoon, Ada!'

say 'Change a comment in the library, and commit. No other command is needed.'
sed -i 's,#include <stdio.h>,#include <stdio.h> /* snprintf */,' "$source/projects/packages/libgreet/greet.c"
run git -C "$source" --no-pager diff --stat
run git -C "$source" commit --quiet --all --message 'libgreet: say why stdio.h is included'

say 'cb-request finds the commit. The library is built, its package is the same, and nothing else is built.'
comment=$(request_of_push)
run cb-ctl watch "$comment"

say 'Change what the library does, and commit.'
cd "$source/projects/packages/libgreet"
sed -i 's/Good afternoon/A lovely afternoon/' greet.c test_greet.c
{
    printf 'libgreet (1.0.1) bookworm; urgency=medium\n\n  * Afternoons are lovely.\n\n'
    printf ' -- Demo <demo@localhost>  Fri, 02 Oct 2026 08:00:00 +0000\n\n'
    cat debian/changelog
} >"$top/changelog"
mv "$top/changelog" debian/changelog
cd - >/dev/null
run git -C "$source" --no-pager diff --stat
run git -C "$source" commit --quiet --all --message 'libgreet 1.0.1: afternoons are lovely'

say 'Now the packages that build with libgreet are built again.'
push=$(request_of_push "$comment")
run cb-ctl list requests
run cb-ctl watch "$push"

say 'Install again: greeting-card now uses the new library.'
installs_and_prints 'A lovely afternoon, Ada!'

run cb-ctl down
up=
say "From a git commit to apt install, in $SECONDS s. Everything is in ${top#"$PWD/"}."
