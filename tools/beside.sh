#!/bin/sh
# Run a command while another one runs: beside.sh 'BACKGROUND COMMAND' COMMAND ARGUMENT...
# What the one in the background says comes at the end; both must succeed.
set -u

background=$1
shift
said=$(mktemp)
# It takes what the other one leaves.
sh -c "exec nice -n 10 $background" >"$said" 2>&1 &
pid=$!
trap 'kill "$pid" 2>/dev/null; rm -f "$said"' EXIT
trap 'exit 130' INT TERM

echo "$* (beside it: $background)"
"$@"
code=$?
wait "$pid"
other=$?
echo "$background"
cat "$said"
[ "$code" != 0 ] || code=$other
exit "$code"
