#!/bin/sh
# Which branches of core the simulator takes: builds it with coverage, runs full seeds, and prints a line for each file and
# the branches that no seed took.
#
#     tests/coverage/branches.sh [SEEDS]      2,000 seeds if not given
#
# Needs llvm-profdata and llvm-cov of LLVM 19 or later (Debian: llvm-19, or llvm-22). Branches are counted by a switch of
# the compiler that is not stable yet, hence RUSTC_BOOTSTRAP, for this build alone.
set -eu
cd "$(dirname "$0")/../.."
seeds=${1:-2000}
work=target/coverage
tool() { ls /usr/bin/"$1"-[0-9]* 2>/dev/null | sort -V | tail -1; }
profdata=$(tool llvm-profdata)
cov=$(tool llvm-cov)
[ -n "$profdata" ] && [ -n "$cov" ] || { echo "$0: llvm-profdata and llvm-cov are missing: apt install llvm-22" >&2; exit 1; }

# Build scripts are counted, too, and write what they count where they run.
export LLVM_PROFILE_FILE="$PWD/$work/%p.profraw"
RUSTC_BOOTSTRAP=1 cargo build --quiet --profile sim -p quintain-sim --target-dir $work \
    --config 'build.rustflags = ["-Cinstrument-coverage", "-Zcoverage-options=branch"]'
rm -f $work/*.profraw
$work/sim/quintain-sim run --seeds "$seeds" --keep-going --no-shrink >&2 || echo "$0: not all seeds passed" >&2
"$profdata" merge --sparse -o $work/seeds.profdata $work/*.profraw
"$cov" export --format=lcov --instr-profile=$work/seeds.profdata $work/sim/quintain-sim > $work/seeds.lcov

# A branch is a place (line and condition) and a way (taken or not). A generic function is there once for each of its types:
# a way that one of them goes is gone. `planted!` and `buggify!` are constants in the daemon.
python3 - $work/seeds.lcov <<'PYTHON'
import collections
import pathlib
import sys

taken = collections.defaultdict(lambda: collections.defaultdict(int))
name = None
for line in open(sys.argv[1]):
    kind, _, rest = line.rstrip().partition(":")
    if kind == "SF":
        name = rest[rest.find("core/src/"):] if "/core/src/" in rest and "/tests" not in rest else None
    elif kind == "BRDA" and name:
        number, block, branch, count = rest.split(",")
        taken[name][int(number), int(block), int(branch)] += 0 if count == "-" else int(count)
missed = []
print(f"{'file':50} {'branches':>9} {'taken':>6} {'%':>6}")
total = went = 0
for name, branches in sorted(taken.items()):
    source = pathlib.Path(name).read_text().splitlines()
    # What only the simulator has is no decision of the target.
    aside = ("planted!", "buggify!", "probe!", "assert")
    branches = {at: count for at, count in branches.items() if not any(word in source[at[0] - 1] for word in aside)}
    if not branches:
        continue
    good = sum(count > 0 for count in branches.values())
    total, went = total + len(branches), went + good
    print(f"{name:50} {len(branches):9} {good:6} {100 * good / len(branches):6.1f}")
    lines = sorted({at[0] for at, count in branches.items() if not count})
    missed += [f"{name}:{line}: {source[line - 1].strip()}" for line in lines]
print(f"{'all':50} {total:9} {went:6} {100 * went / total:6.1f}")
print("\nlines with a branch that no seed took:")
print("\n".join(missed))
PYTHON
