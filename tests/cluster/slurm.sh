#!/usr/bin/env bash
# Runs .ci/slurm.sbatch for real: a Slurm of one node on loopback, an array of 8 shards, and `merge`, whose totals must be
# those of one machine alone. Needs root, and Debian's slurm-wlm and munge, which --install installs. Everything is kept
# in a temporary directory; the daemons are those started here, and they are ended by their process ids.
set -euo pipefail
cd "$(dirname "$0")/../.."

seeds=${SEEDS:-200}
profile=${PROFILE:-lite}
shards=8

if [ "${1:-}" = --install ]; then
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends slurm-wlm munge
fi
for program in slurmctld slurmd sbatch sinfo squeue munged; do
    PATH=$PATH:/usr/sbin command -v $program >/dev/null || {
        echo "skipped: $program is missing; run $0 --install"
        exit 77
    }
done
export PATH=$PATH:/usr/sbin
[ "$(id -u)" -eq 0 ] || {
    echo "skipped: slurmd needs root"
    exit 77
}

cargo build --quiet --profile sim --package quintain-sim
simulator=$PWD/target/sim/quintain-sim

dir=$(mktemp -d)
chmod 755 "$dir"
pids=()
finish() {
    local status=$? pid
    # The daemon's own children, slurmstepd, look after the end of a job for a moment; let them come to theirs.
    for _ in $(seq 100); do pgrep -f "^slurmstepd: " >/dev/null && sleep 0.1 || break; done
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
    if [ "$status" -ne 0 ]; then
        tail -n 20 "$dir"/*.log || true
    fi
    rm -rf "$dir"
    exit "$status"
}
trap finish EXIT

# A munged with a key and a socket of its own.
mkdir -m 700 "$dir/munge"
dd if=/dev/urandom of="$dir/munge/key" bs=128 count=1 status=none
chmod 600 "$dir/munge/key"
mkdir -m 755 "$dir/socket"
munged --foreground --force --key-file="$dir/munge/key" --socket="$dir/socket/munge" --seed-file="$dir/munge/seed" \
    --pid-file="$dir/munge/pid" --log-file="$dir/munged.log" 2>"$dir/munged-error.log" &
pids+=($!)

host=$(hostname -s)
mkdir "$dir/state" "$dir/spool"
cat >"$dir/slurm.conf" <<CONF
ClusterName=quintain
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=26817
SlurmdPort=26818
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$dir/socket/munge
CredType=cred/munge
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1
ReturnToService=2
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
export SLURM_CONF=$dir/slurm.conf
: >"$dir/cgroup.conf"
for _ in $(seq 100); do [ -S "$dir/socket/munge" ] && break || sleep 0.1; done
slurmctld -D 2>"$dir/slurmctld-error.log" &
pids+=($!)
slurmd -D -N "$host" 2>"$dir/slurmd-error.log" &
pids+=($!)
for _ in $(seq 300); do [ "$(sinfo -h -o %t 2>/dev/null)" = idle ] && break || sleep 0.1; done
sinfo -h -o "slurm $(sinfo --version | cut -d ' ' -f 2): node %n is %t, %c processors"

out=$dir/out
job=$(OUT=$out SEEDS=$seeds SIMULATOR=$simulator sbatch --parsable --array=0-$((shards - 1)) --output="$dir/task-%a.log" \
    .ci/slurm.sbatch --profile "$profile")
echo "array $job of $shards tasks, $seeds seeds of profile $profile"
while [ -n "$(squeue -h -j "$job" 2>/dev/null)" ]; do sleep 0.5; done
scontrol --oneliner show job "$job" | grep -o 'ArrayTaskId=[0-9]*\|JobState=[A-Z]*\|ExitCode=[0-9:]*' | paste -d ' ' - - -

merged=$("$simulator" merge "$out"/*.json)
echo "$merged"
# The same seeds by one machine: same number of runs, commands, events.
alone=$("$simulator" run --shard 0/1 --seeds "$seeds" --profile "$profile" --keep-going --no-shrink)
for line in '^per seed:' '^all .* passed'; do
    diff <(grep "$line" <<<"$merged") <(grep "$line" <<<"$alone")
done
[ "$(grep -o '[0-9]* run twice, [0-9]* paths' <<<"$merged")" = "$(grep -o '[0-9]* run twice, [0-9]* paths' <<<"$alone")" ]
echo "8 shards show what one machine shows"
# A result given twice is refused.
if "$simulator" merge "$out"/*.json "$out/shard-0.json" 2>"$dir/refused"; then
    echo "merge took one shard twice"
    exit 1
fi
grep 'seeds in common' "$dir/refused"
