#!/usr/bin/env bash
# Runs every fuzz target for SECONDS (default 10) with coverage feedback, on the stable toolchain. Needs a C++ compiler.
# New inputs stay out of the checked-in corpus; a crash is left in fuzz/artifacts and ends the script with an error.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-10}
host=$(rustc -vV | sed -n 's/^host: //p')
target_dir=target

# Coverage passes are plain code generation options; only the sanitizers would need a nightly compiler. The variable
# replaces the flags of .cargo/config.toml, which only the simulator needs. With --target given, build scripts and
# macros are left alone.
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Cdebug-assertions -Coverflow-checks -Clto=off -Ccodegen-units=1"
cargo build --quiet --release --features libfuzzer --bins --target "$host" --target-dir "$target_dir"

mkdir -p artifacts
for target in receive text_keys login cdb; do
    found=$(mktemp -d)
    dictionary=()
    case $target in text_keys | login) dictionary=(-dict=text.dict) ;; esac
    log=$found.log
    if ! "$target_dir/$host/release/$target" "$found" "corpus/$target" "${dictionary[@]}" \
        -max_total_time="$seconds" -max_len=4096 -timeout=5 -artifact_prefix="artifacts/$target-" >"$log" 2>&1; then
        tail -n 60 "$log"
        echo "fuzz target $target failed; the input is in fuzz/artifacts" >&2
        exit 1
    fi
    echo "$target: $(grep -E '^Done' "$log"), $(grep -oE 'cov: [0-9]+' "$log" | tail -n 1)"
    rm -r "$found" "$log"
done
