#!/bin/bash
# pair.sh - a pair of brokers with a witness, two workers and a client, while a half goes away.
#
# Usage: examples/pair.sh        the programs are those of build/release, or where GALLEON_BUILD says
#
# Starts all of them on loopback, each member of the pair on an address of its own as if they were
# machines, and everything else in a temporary folder. Then one half hands over to the other, which
# is killed, while the client goes on calling. It takes some seconds, ends all that it has started,
# also when it is interrupted, and fails where a call has failed.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly build=${GALLEON_BUILD:-build/release}
readonly net=127.$((RANDOM % 250 + 1)).$((RANDOM % 250 + 1))
readonly primary=tcp://$net.1:5555 backup=tcp://$net.2:5555
readonly both=$primary,$backup
readonly witness=tcp://$net.3:5003
readonly settings=(--witness "$witness" --pair-heartbeat 50 --pair-lease 200)

declare -A pids=()
folder=$(mktemp -d "${TMPDIR:-/tmp}/galleon-pair-XXXXXX")
readonly folder
client_pid=

# Ends what we started, and nothing else.
clean_up()
{
    local name
    trap '' INT TERM
    touch "$folder/stop"
    for name in "${!pids[@]}"; do
        kill -KILL "${pids[$name]}" 2>/dev/null || true
        wait "${pids[$name]}" 2>/dev/null || true
    done
    [[ -z $client_pid ]] || wait "$client_pid" 2>/dev/null || true
    rm -rf "$folder"
}

die()
{
    local log
    echo "pair.sh: $*" >&2
    for log in "$folder"/*.log; do
        [[ -s $log ]] && echo "-- $(basename "$log")" >&2 && cat "$log" >&2
    done
    exit 1
}

say()
{
    printf '\n== %s\n' "$*"
}

# A session of its own: Ctrl-C reaches us alone, and we end it.
start() # NAME PROGRAM ARG...
{
    setsid "$build/$2" "${@:3}" </dev/null >>"$folder/$1.log" 2>&1 &
    pids[$1]=$!
}

await() # WHAT COMMAND...
{
    local tries
    for ((tries = 0; tries < 400; tries++)); do
        "${@:2}" && return
        sleep 0.05
    done
    die "not in time: $1"
}

start_primary()
{
    start primary mdbroker --bind "$primary" --pair primary --pair-bind "tcp://$net.1:5003" \
        --pair-peer "tcp://$net.2:5003" --pair-redirect "$backup" \
        --pair-state "$folder/primary.vote" "${settings[@]}" "$@"
}

start_backup()
{
    start backup mdbroker --bind "$backup" --pair backup --pair-bind "tcp://$net.2:5003" \
        --pair-peer "tcp://$net.1:5003" --pair-redirect "$primary" \
        --pair-state "$folder/backup.vote" "${settings[@]}" "$@"
}

is_in() # STATE ENDPOINT
{
    "$build/galleon" --broker "$2" --timeout 500 --attempts 1 ha status 2>/dev/null |
        grep -qx "state *$1"
}

has_workers() # ENDPOINT
{
    "$build/galleon" --broker "$1" --timeout 500 --attempts 1 service ls 2>/dev/null |
        grep -q '^echo  *2 '
}

# Calls, one call after another, until it is told to stop: a line for each, with what it took.
client()
{
    local number began answer
    for ((number = 1;; number++)); do
        [[ ! -e $folder/stop ]] || return 0
        began=${EPOCHREALTIME/[.,]/}
        answer=$("$build/mdclient" --broker "$both" --timeout 500 --attempts 20 echo "$number") ||
            answer=failed
        [[ $answer == "$number" ]] || echo "call $number: $answer" >>"$folder/wrong"
        echo "$(((${EPOCHREALTIME/[.,]/} - began) / 1000))" >>"$folder/calls"
    done
}

calls()
{
    wc -l 2>/dev/null <"$folder/calls" || echo 0
}

has_called() # COUNT
{
    (($(calls) >= $1))
}

show()
{
    local longest
    longest=$(sort -n "$folder/calls" | tail -1)
    echo "the client has made $(calls) calls, of which the longest took $longest ms"
}

main()
{
    trap clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM

    say "A witness, two halves, two workers, a client"
    start witness starwitness --bind "$witness" --state "$folder/witness.vote" --pair-lease 200 \
        --pair-init
    # Whoever is ready first may serve, so the backup comes later.
    start_primary --pair-init
    await "the primary serves" is_in ACTIVE "$primary"
    start_backup --pair-init
    await "the backup watches" is_in PASSIVE "$backup"
    start worker-1 mdworker --broker "$both" echo
    start worker-2 mdworker --broker "$both" echo
    await "workers at the primary" has_workers "$primary"
    await "workers at the backup" has_workers "$backup"
    client &
    client_pid=$!
    await "calls" has_called 5
    echo "the primary, $primary, serves"
    show

    say "galleon ha demote: the primary hands over"
    "$build/galleon" --broker "$primary" ha demote
    await "the backup serves" is_in ACTIVE "$backup"
    await "calls" has_called $(($(calls) + 5))
    echo "the backup, $backup, serves"
    show

    say "kill -9 of the backup, which serves"
    await "the primary watches" is_in PASSIVE "$primary"
    kill -KILL "${pids[backup]}"
    wait "${pids[backup]}" 2>/dev/null || true
    await "the primary serves" is_in ACTIVE "$primary"
    await "calls" has_called $(($(calls) + 5))
    echo "the primary serves again"
    show

    say "The backup is started again, without --pair-init"
    start_backup
    await "the backup watches" is_in PASSIVE "$backup"
    touch "$folder/stop"
    wait "$client_pid"
    show
    [[ ! -e $folder/wrong ]] || die "wrong: $(cat "$folder/wrong")"
    echo "every call was answered"
}

main
