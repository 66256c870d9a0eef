#!/bin/sh
# A check of the tests: it says what is in the file of its server, notes that it runs, and goes when it has to.
name=${1#*:}
echo "$$ $* ${LD_PRELOAD-none}" >>"$STATES/started"
[ -z "$FAILS" ] || { read -r word; echo "$FAILS" >&2; exit 7; }
[ -z "$STUBBORN" ] || { trap '' TERM; while :; do read -r word; cat "$STATES/$name"; [ -n "$word" ] || sleep 1; done; }
while read -r word && [ "$word" = poll ]; do
    cat "$STATES/$name"
done
