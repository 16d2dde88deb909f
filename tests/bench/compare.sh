#!/bin/bash
# Compares Quintain with Debian's tgt on this machine: CPU time of the server per operation, and operations a second.
#
#   sudo tests/bench/compare.sh [ROUNDS] [SECONDS]
#
# Both serve the same file from the page cache over loopback, and iscsi-perf (libiscsi) reads through one session: 4 KiB
# at random with 32 commands in flight, and 128 KiB in sequence with 32 in flight. The rounds are interleaved, so that
# whatever else the machine does meets both. The table goes to standard output, everything else to standard error.
#
# Needs: root (tgtd), packages tgt and libiscsi-bin, a release build (made here when it is missing).
# QUINTAIN names another binary, QUINTAIN_OPTIONS gives it more options, SIZE_MIB sets the size of the file.
set -euo pipefail

rounds=${1:-5}
seconds=${2:-5}
size_mib=${SIZE_MIB:-512}
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
quintain=${QUINTAIN:-$root/target/release/quintain}
tgt_port=13260
quintain_port=13261
tgt_control=13260
tgt_name=iqn.2026-11.io.quintain:bench-tgt
quintain_name=iqn.2026-11.io.quintain:bench

say() { echo "$*" >&2; }
fail() { say "compare.sh: $*"; exit 1; }

[ "$(id -u)" = 0 ] || fail "tgtd needs root; run it with sudo"
for tool in tgtd tgtadm iscsi-perf; do
    command -v $tool >/dev/null || fail "$tool is missing; apt-get install tgt libiscsi-bin"
done
if [ ! -x "$quintain" ]; then
    say "building $quintain"
    (cd "$root" && cargo build --release -p quintain >&2)
fi

scratch=$(mktemp -d)
tgt_pid=
quintain_pid=
stop() {
    # tgtd does not end on SIGTERM while it has targets.
    [ -z "$tgt_pid" ] || kill -KILL "$tgt_pid" 2>/dev/null || true
    [ -z "$quintain_pid" ] || kill -TERM "$quintain_pid" 2>/dev/null || true
    wait 2>/dev/null || true
    rm -rf "$scratch"
}
trap stop EXIT

# Fully written, and in the page cache: the benchmark is of targets, not of disks.
file=$scratch/disk.raw
say "writing $size_mib MiB"
dd if=/dev/urandom of="$file" bs=1M count="$size_mib" status=none
cat "$file" >/dev/null
if command -v fincore >/dev/null; then
    resident=$(fincore --bytes --noheadings --output RES "$file" | tr -d ' ')
    [ "$resident" = "$(stat -c %s "$file")" ] || fail "only $resident bytes of the file are in the page cache"
fi

tgtd -f -C $tgt_control --iscsi portal=127.0.0.1:$tgt_port >"$scratch/tgtd.log" 2>&1 &
tgt_pid=$!
# Write-back, as tgt does: what is measured are reads, and write-through would not be slower at them.
# shellcheck disable=SC2086
"$quintain" serve "$file" --mode wb --iqn $quintain_name --listen 127.0.0.1:$quintain_port ${QUINTAIN_OPTIONS:-} \
    >"$scratch/quintain.log" 2>&1 &
quintain_pid=$!

administer() { tgtadm -C $tgt_control --lld iscsi "$@"; }
for _ in $(seq 50); do
    kill -0 $tgt_pid 2>/dev/null || { cat "$scratch/tgtd.log" >&2; fail "tgtd ended"; }
    administer --mode system --op show >/dev/null 2>&1 && break
    sleep 0.1
done
administer --mode target --op new --tid 1 --targetname $tgt_name
# Its default of 8 KiB would cut every 128 KiB read into 16 PDUs.
administer --mode target --op update --tid 1 --name MaxRecvDataSegmentLength --value 262144
administer --mode logicalunit --op new --tid 1 --lun 1 --backing-store "$file"
administer --mode target --op bind --tid 1 --initiator-address ALL
for _ in $(seq 50); do
    (exec 3<>/dev/tcp/127.0.0.1/$quintain_port) 2>/dev/null && break
    kill -0 $quintain_pid 2>/dev/null || { cat "$scratch/quintain.log" >&2; fail "quintain ended"; }
    sleep 0.1
done

# Of all threads of a process, in microseconds: utime and stime, after the name in parentheses.
tick_us=$((1000000 / $(getconf CLK_TCK)))
cpu_us() { sed 's/^.*) //' "/proc/$1/stat" | awk -v tick=$tick_us '{ print ($12 + $13) * tick }'; }

# measure SERVER WORKLOAD: one line "WORKLOAD SERVER IOPS CPU_US_PER_OPERATION".
measure() {
    local server=$1 workload=$2 pid url options before after iops
    case $server in
        tgt) pid=$tgt_pid url=iscsi://127.0.0.1:$tgt_port/$tgt_name/1 ;;
        quintain) pid=$quintain_pid url=iscsi://127.0.0.1:$quintain_port/$quintain_name/0 ;;
    esac
    case $workload in
        random-4k) options="-b 8 -r" ;;
        sequential-128k) options="-b 256" ;;
    esac
    before=$(cpu_us "$pid")
    # shellcheck disable=SC2086
    iscsi-perf -m 32 -t "$seconds" $options "$url" >"$scratch/perf.log" 2>&1 || { cat "$scratch/perf.log" >&2; fail "iscsi-perf"; }
    after=$(cpu_us "$pid")
    iops=$(tr '\r' '\n' <"$scratch/perf.log" | sed -n 's/^iops average \([0-9]*\).*/\1/p' | tail -1)
    [ -n "$iops" ] && [ "$iops" -gt 0 ] || { cat "$scratch/perf.log" >&2; fail "no operation was completed"; }
    awk -v w="$workload" -v s="$server" -v i="$iops" -v t="$seconds" -v c=$((after - before)) \
        'BEGIN { printf "%s %s %d %.3f\n", w, s, i, c / (i * t) }'
}

for round in $(seq "$rounds"); do
    for workload in random-4k sequential-128k; do
        for server in tgt quintain; do
            measure $server $workload | tee -a "$scratch/results" | sed "s/^/round $round: /" >&2
        done
    done
done

version() { "$@" --version 2>/dev/null | head -1; }
echo "Machine: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), $(nproc) processors," \
    "$(awk '/MemTotal/ { printf "%.1f GiB", $2 / 1048576 }' /proc/meminfo), Linux $(uname -r);" \
    "tgt $(version tgtd), $(version "$quintain"); $rounds rounds of $seconds s, $(date -u +%F)."
echo
awk -f "$here/table.awk" "$scratch/results"
