# What the client tests share; sourced by each of them. QUINTAIN names the daemon to test.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
quintain=${QUINTAIN:-$here/../../target/debug/quintain}
scratch=$(mktemp -d)
pids=()

fail() {
    echo "$(basename "$0"): $*" >&2
    exit 1
}

# Ends what this script started, and nothing else.
stop() {
    for pid in "${pids[@]}"; do kill -TERM "$pid" 2>/dev/null || true; done
    wait
    rm -rf "$scratch"
}
trap stop EXIT

need() {
    for program in "$@"; do
        command -v "$program" >/dev/null || fail "$program is missing; .ci/run says which package has it"
    done
}

# Starts `quintain serve` with the given arguments on a port that the kernel chooses, and sets portal, port, target and
# url (of LUN 0); portals are all of them.
serve() {
    [ -x "$quintain" ] || fail "$quintain is not there: build it with cargo build -p quintain, or set QUINTAIN"
    : >"$scratch/daemon.out" # else what the last daemon wrote is taken for this one's
    (cd "$scratch" && exec "$quintain" serve "$@" --listen 127.0.0.1:0) >"$scratch/daemon.out" 2>"$scratch/daemon.log" &
    pids+=($!)
    for _ in $(seq 100); do
        grep -q iscsi-ls "$scratch/daemon.out" && break
        kill -0 "${pids[-1]}" 2>/dev/null || fail "the daemon ended: $(cat "$scratch/daemon.log")"
        sleep 0.1
    done
    mapfile -t portals < <(awk '$1 == "listening" { on = 1; print $2; next } on && NF == 1 { print $1; next } { on = 0 }' \
        "$scratch/daemon.out")
    portal=${portals[0]}
    target=$(awk '$1 == "target" { print $2 }' "$scratch/daemon.out")
    port=${portal##*:}
    url=iscsi://$portal/$target/0
}

# SIGTERM ends the daemon with success and without a warning in its log, unless one is allowed.
end_daemon() {
    kill -TERM "${pids[0]}"
    wait "${pids[0]}" || fail "the daemon did not end well: $(cat "$scratch/daemon.log")"
    pids=("${pids[@]:1}")
    [ "${1:-}" = --complaints-allowed ] && return
    if grep -E 'WARN|ERROR' "$scratch/daemon.log"; then fail "the daemon complained"; fi
}

# The output of the command after the first argument contains the first argument.
expect() {
    local wanted=$1 output
    shift
    output=$("$@" 2>&1) || fail "$* failed: $output"
    grep -qF -- "$wanted" <<<"$output" || fail "$* did not print \"$wanted\": $output"
}
