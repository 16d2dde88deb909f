#!/usr/bin/env bash
# Runs libiscsi's conformance suite against several configurations, and compares the outcome of every test with
# iscsi-test-cu.expected, or what iscsi-test-cu.CONFIGURATION.expected says instead. A test that passes although it is
# listed otherwise is a difference too: then the list is out of date.
#
#   iscsi-test-cu.sh [--record]      --record writes the lists anew; look at the difference before committing it.
. "$(dirname "$0")/common.sh"
need iscsi-test-cu awk diff

record=${1:-}
base=$here/iscsi-test-cu.expected

# suite CONFIGURATION [URL...]: runs all tests through these paths, and ends the daemon.
suite() {
    local name=$1 own=$here/iscsi-test-cu.$1.expected
    shift
    # Its exit code says that a test failed, which the comparison judges.
    timeout 300 iscsi-test-cu --dataloss --test=ALL "$@" >"$scratch/output" 2>&1 || true
    grep -q "Run Summary" "$scratch/output" || fail "$name: the suite did not end: $(tail "$scratch/output")"
    # The suite breaks rules on purpose, which the daemon may say in its log.
    end_daemon --complaints-allowed
    awk -f "$here/iscsi-test-cu.awk" "$scratch/output" >"$scratch/outcomes"
    [ "$record" != --record ] || record "$name" "$own"
    expected "$own" >"$scratch/expected"
    # Both ways: what fails now, and what is listed and does not fail any more.
    if ! diff -u --label expected --label now "$scratch/expected" "$scratch/outcomes"; then
        fail "$name: tests have other outcomes than $(basename "$base") and $(basename "$own") say"
    fi
    awk -F '\t' -v name="$name" '{ count[$2]++ } END { printf "iscsi-test-cu, %s:", name; for (kind in count) printf " %d %s", count[kind], kind; print "" }' \
        "$scratch/outcomes"
}

# The list of all configurations, with the lines of the tests that have one in $1.
expected() {
    if [ -f "$1" ]; then
        awk -F '\t' '/^#/ { next } NR == FNR { own[$1] = $0; next } $1 in own { print own[$1]; next } { print }' "$1" "$base"
    else
        grep -v '^#' "$base"
    fi
}

record() {
    if [ "$1" = plain ]; then
        {
            grep '^#' "$base"
            cat "$scratch/outcomes"
        } >"$scratch/recorded"
        cp "$scratch/recorded" "$base"
    elif [ -f "$2" ]; then
        {
            grep '^#' "$2"
            awk -F '\t' 'NR == FNR { base[$1] = $0; next } base[$1] != $0' "$base" "$scratch/outcomes"
        } >"$scratch/recorded"
        cp "$scratch/recorded" "$2"
    fi
}

serve disk.img --size 1GiB --mode wb
suite plain "$url"

serve disk.img --mode wb --cores 2
suite two-cores "$url"

# The suite has tests of its own for a second path; both must show the same logical unit.
serve disk.img --mode wb --cores 2 --listen 127.0.0.1:0
suite two-paths "$url" "iscsi://${portals[1]}/$target/0"

serve disk.img --mode ro
suite read-only "$url"
