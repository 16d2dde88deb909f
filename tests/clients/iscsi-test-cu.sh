#!/usr/bin/env bash
# Runs libiscsi's conformance suite and compares the outcome of every test with iscsi-test-cu.expected. A test that
# passes although it is listed otherwise is a difference too: then the list is out of date.
#
#   iscsi-test-cu.sh [--record]      --record writes the list anew; look at the difference before committing it.
. "$(dirname "$0")/common.sh"
need iscsi-test-cu awk diff

serve disk.img --size 1GiB --mode wb
timeout 300 iscsi-test-cu --dataloss --test=ALL "$url" >"$scratch/output" 2>&1 || fail "iscsi-test-cu: $(tail "$scratch/output")"
# The suite breaks rules on purpose, which the daemon may say in its log.
end_daemon --complaints-allowed

awk -f "$here/iscsi-test-cu.awk" "$scratch/output" >"$scratch/outcomes"
expected=$here/iscsi-test-cu.expected
if [ "${1:-}" = --record ]; then
    {
        grep '^#' "$expected"
        cat "$scratch/outcomes"
    } >"$scratch/recorded"
    cp "$scratch/recorded" "$expected"
fi
if ! diff -u --label expected --label now <(grep -v '^#' "$expected") "$scratch/outcomes"; then
    fail "tests have other outcomes than $(basename "$expected") says"
fi
awk -F '\t' '{ count[$2]++ } END { printf "iscsi-test-cu:"; for (kind in count) printf " %d %s", count[kind], kind; print "" }' \
    "$scratch/outcomes"
