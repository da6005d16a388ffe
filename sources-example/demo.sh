#!/bin/bash
# The tour of `make demo`: what a new user would type, typed for you. Ends with 0 only when every step did what it says.
#
#   CB_DEMO    where it happens, made anew each time (default: build/demo)
#   CB_CACHE   kept, so that the next time is quick (default: build/cache)
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

# Build roots belong to subordinate ids when an ordinary user runs this.
remove() { rm -rf "$@" 2>/dev/null || unshare --map-auto --map-root-user rm -rf "$@"; }

finish() {
    status=$?
    trap - EXIT INT TERM
    [ -z "${up:-}" ] || cb-ctl down >/dev/null 2>&1 || true
    [ $status = 0 ] || printf '\nThe demo failed after %d s. Logs of the daemons: %s\n' "$SECONDS" "$CB_HOME/log" >&2
    exit $status
}

# The greeting of the installed package must contain the text.
installs_and_says() {
    run cb-ctl try example-bookworm greeting-card -- greeting-card --hour 15 Ada | tee "$top/said"
    grep -qF "$1" "$top/said" || { echo "error: expected: $1" >&2; return 1; }
}

# Prints the id of the request that a push has made, once there is one.
request_of_push() {
    for _ in $(seq 100); do
        cb-ctl list requests --json | python3 -c '
import json, sys
rows = json.load(sys.stdin)
print(next((row["request_id"] for row in rows if row["origin"] == "push"), ""))' | grep . && return
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

say 'Three packages in a git repository. greeting-card builds with greet, and greet with libgreet.'
cp -R sources-example/projects "$source"
run git -C "$source" init --quiet --initial-branch main
run git -C "$source" add .
run git -C "$source" commit --quiet --message 'Three packages'
ls "$source/projects/packages"

say 'Five daemons on this machine, talking over the broker inside the confluent-kafka wheel.'
up=yes
run cb-ctl up --detach --runners 1 --broker embedded --port 0 --source "example=$source"

say 'Build everything, in the right order. The first time, KIWI prepares a build root: about half a minute.'
run cb-ctl request --all --watch

say 'The packages are in a signed apt repository.'
run cb-ctl list repositories

say 'Install the top one with apt, into a throw-away root, and run it.'
installs_and_says 'Good afternoon, Ada!'

say 'Change the lowest package, and commit. Nothing else is told to anyone.'
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

say 'cb-request notices, and what builds with libgreet is built again.'
push=$(request_of_push)
run cb-ctl list requests
run cb-ctl watch "$push"

say 'Install again: the new library, below the same top package.'
installs_and_says 'A lovely afternoon, Ada!'

run cb-ctl down
up=
say "From a git commit to apt install, in $SECONDS s. Everything is in ${top#"$PWD/"}."
