#!/bin/sh
# Run by `make check`: compares a card with the expected one, using the greet that the build depends on.
set -eu

got=$(./greeting-card --hour 8 Ada)
expected=$(printf '+-%s-+\n| %s |\n+-%s-+' '------------------' 'Good morning, Ada!' '------------------')
if [ "$got" != "$expected" ]; then
    printf 'FAIL: expected\n%s\ngot\n%s\n' "$expected" "$got" >&2
    exit 1
fi
if ./greeting-card --hour noon 2>/dev/null; then
    echo 'FAIL: an impossible hour must fail' >&2
    exit 1
fi
