#!/usr/bin/env bash
# Runs all client tests. Needs root and the packages that .ci/run installs. QUINTAIN names the daemon to test.
set -euo pipefail
cd "$(dirname "$0")"
for script in libiscsi.sh luns.sh qemu.sh tshark.sh iscsi-test-cu.sh; do
    echo "-- $script"
    bash "$script"
done
