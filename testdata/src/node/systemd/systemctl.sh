#!/bin/sh
# Stands in for systemctl: asks the stand-in for systemd, which lives in the process of a test, as the real one asks PID 1.
PATH=/usr/bin:/bin
room='@ROOM@'
ask="$room/$$"
for word in "$@"; do
    printf '%s\n' "$word"
done > "$ask.new" 2>/dev/null
mv "$ask.new" "$ask.request" 2>/dev/null
until [ -e "$ask.code" ]; do
    if [ ! -e "$room/alive" ] || [ ! -d '/proc/@PROCESS@' ]; then
        echo "System has not been booted with systemd as init system (PID 1). Can't operate." >&2
        exit 1
    fi
    sleep 0.01
done
cat "$ask.out"
cat "$ask.err" >&2
code=$(cat "$ask.code")
rm -f "$ask.out" "$ask.err" "$ask.code"
exit "$code"
