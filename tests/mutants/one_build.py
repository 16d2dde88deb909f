#!/usr/bin/env python3
"""Runs the mutants of cargo-mutants over the modules of core that decide something, all of them in one build.

    tests/mutants/one_build.py WORK [--jobs N] [--seeds N] [--most N] [--module PATH]... [--only NUMBER]...

A build of core and of the simulator for each mutant would take a day. So a copy of the tree under WORK (a folder outside
of it) gets all of them at once: a function with mutants becomes a choice among its bodies, and the environment variable
MUTANT tells which mutant is alive. A mutant that does not compile is left out, as cargo-mutants does. Each is then run
through the first few seeds, the unit tests of core, and all of the seeds, until something kills it: a failure, or a run
that does not come to an end. They come in an order that is drawn, so that the first N of --most are a fair sample. WORK keeps the build and what was found: a run that was stopped goes on from there.

Needs cargo-mutants (`cargo install cargo-mutants`), of which only the list of mutants is used.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

# What decides something: window, data transfer, abort, task set, queue, cache and flush, negotiation, sequence of blocks.
MODULES = [
    "backend/descriptions.rs", "backend/flush.rs", "backend/medium.rs", "backend/transfer.rs",
    "connection/login/exchange.rs", "connection/login/keys.rs", "connection/login/mod.rs",
    "connection/login/negotiation.rs", "connection/write_list.rs",
    "logical_unit/mod.rs", "logical_unit/shared.rs", "logical_unit/unit_attention.rs",
    "queue/work_queue.rs", "queue/worker.rs",
    "scsi/sbc/range.rs", "scsi/sbc/synchronize_cache.rs", "scsi/sbc/verify.rs", "scsi/sbc/write.rs",
    "session/abort.rs", "session/command_window.rs", "session/data_transfer.rs", "session/reinstatement.rs",
    "session/tasks.rs", "task/management.rs", "task/task.rs", "task/task_set.rs", "wire/serial_number.rs",
]

# Seeds that are tried first, and when a run that takes so many seconds has no end.
FEW = 10
ENDLESS_S = 240

ACTIVE = """

/// Which mutant is alive.
pub(crate) mod mutant {
    pub(crate) fn alive() -> u32 {
        static ALIVE: std::sync::LazyLock<u32> =
            std::sync::LazyLock::new(|| std::env::var("MUTANT").ok().and_then(|text| text.parse().ok()).unwrap_or(0));
        *ALIVE
    }
}
"""


def offsets(text):
    """The offset of each line's beginning."""
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    return starts


def place(starts, where):
    return starts[where["line"] - 1] + where["column"] - 1


def skip(text, at):
    """The end of the comment, string or character at `at`; `at` if there is none."""
    if text.startswith("//", at):
        end = text.find("\n", at)
        return len(text) if end < 0 else end
    if text[at] == '"':
        end = at + 1
        while text[end] != '"':
            end += 2 if text[end] == "\\" else 1
        return end + 1
    if text[at] == "r" and (text.startswith('r"', at) or text.startswith('r#', at)):
        hashes = len(text[at + 1:]) - len(text[at + 1:].lstrip("#"))
        if text[at + 1 + hashes] == '"':
            close = '"' + "#" * hashes
            return text.index(close, at + 2 + hashes) + len(close)
    if text[at] == "'":
        if text[at + 1] == "\\":
            return text.index("'", at + 3) + 1
        if text[at + 2] == "'":
            return at + 3
    return at


def body(text, start, end):
    """Where the body of the function between the two is: within its outermost braces, which come last."""
    depth, opened, at = 0, None, start
    while at < end:
        after = skip(text, at)
        if after != at:
            at = after
            continue
        if text[at] == "{":
            if depth == 0:
                opened = at
            depth += 1
        elif text[at] == "}":
            depth -= 1
        at += 1
    assert depth == 0 and text[end - 1] == "}", text[start:end]
    return opened + 1, end - 1


def listed(modules):
    found = subprocess.run(
        ["cargo", "mutants", "--list", "--json", "-p", "quintain-core"], cwd=ROOT, check=True, capture_output=True)
    # What is in no function is a constant. `row` and `note` fill the tables of `cargo sim coverage`.
    aside = ("row", "note")
    mutants = [mutant for mutant in json.loads(found.stdout)
               if mutant["function"] and mutant["function"]["function_name"].split("::")[-1] not in aside
               and mutant["file"].removeprefix("core/src/") in modules]
    return {number: mutant for number, mutant in enumerate(mutants, 1)}


def weave(copy, mutants):
    """Puts `mutants` into the copied tree; the lines that each of them has there."""
    lines = {}
    by_file = {}
    for number, mutant in mutants.items():
        span = mutant["function"]["span"]
        key = (span["start"]["line"], span["start"]["column"], span["end"]["line"], span["end"]["column"])
        by_file.setdefault(mutant["file"], {}).setdefault(key, []).append((number, mutant))
    for name, functions in by_file.items():
        text = (ROOT / name).read_text()
        starts, woven, at, lines[name] = offsets(text), [], 0, []
        for (line, column, end_line, end_column), all_of_it in sorted(functions.items()):
            start, end = starts[line - 1] + column - 1, starts[end_line - 1] + end_column - 1
            if start < at:
                sys.exit(f"{name}:{line}: a function within another one; its mutants cannot be told apart")
            begin, close = body(text, start, end)
            head = text[at:begin]
            # What is chosen at run time is no constant.
            head = head[:start - at] + head[start - at:].replace("const fn ", "fn ", 1)
            woven.append(head + " match crate::mutant::alive() {\n")
            for number, mutant in all_of_it:
                low, high = place(starts, mutant["span"]["start"]), place(starts, mutant["span"]["end"])
                changed = text[begin:low] + mutant["replacement"] + text[high:close]
                before = "".join(woven).count("\n") + 1
                woven.append(f"{number} => {{{changed}}}\n")
                lines[name].append((before, "".join(woven).count("\n"), number))
            woven.append(f"_ => {{{text[begin:close]}}}\n}} ")
            at = close
        woven.append(text[at:])
        (copy / name).write_text("".join(woven))
    return lines


def strangers(copy, lines):
    """The mutants that the compiler does not take, and what it says elsewhere."""
    bad, other = set(), []
    for package in ["quintain-core", "quintain-core-simulation"]:
        told = subprocess.run(
            ["cargo", "check", "--quiet", "--message-format=json", "-p", package], cwd=copy, capture_output=True, text=True)
        for line in told.stdout.splitlines():
            message = json.loads(line).get("message") or {}
            if message.get("level") != "error":
                continue
            hits = set()
            for span in message.get("spans", []):
                name = span["file_name"].removeprefix(str(copy) + "/")
                name = name[name.find("core/src/"):] if "core/src/" in name else name
                for first, last, number in lines.get(name, []):
                    if first <= span["line_start"] <= last and span["is_primary"]:
                        hits.add(number)
            bad |= hits
            if not hits and message.get("spans"):
                other.append(message["rendered"])
    return bad, other


def copy_tree(work):
    copy = work / "tree"
    copy.mkdir(parents=True, exist_ok=True)
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
    for name in filter(None, names.decode().split("\0")):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, copy / name)
    manifest = (copy / "Cargo.toml").read_text()
    # Mutants are not there to be read: no lint judges them.
    kept, within = [], False
    for line in manifest.splitlines():
        within = line.startswith("[workspace.lints") if line.startswith("[") else within
        kept.append("" if within and not line.startswith("[") else line)
    (copy / "Cargo.toml").write_text("\n".join(kept) + "\n")
    for name in ["sim/src/lib.rs", "core/src/lib.rs"]:
        source = (copy / name).read_text()
        (copy / name).write_text("\n".join(l for l in source.splitlines() if not l.startswith(("#![deny", "#![warn"))) + "\n")
    with open(copy / "core/src/lib.rs", "a") as library:
        library.write(ACTIVE)
    return copy


def build(work, mutants):
    """Compiles all mutants that can be compiled; which ones could not be."""
    copy, left_out = copy_tree(work), set()
    while True:
        lines = weave(copy, {number: mutant for number, mutant in mutants.items() if number not in left_out})
        bad, other = strangers(copy, lines)
        print(f"{len(bad)} more do not compile", flush=True)
        if not bad and other:
            sys.exit("the compiler stumbles over what is no mutant:\n" + "\n".join(other[:5]))
        if not bad:
            break
        left_out |= bad
    subprocess.run(["cargo", "build", "--quiet", "--profile", "sim", "-p", "quintain-sim"], cwd=copy, check=True)
    told = subprocess.run(
        ["cargo", "test", "--quiet", "--no-run", "--message-format=json", "--lib", "-p", "quintain-core"],
        cwd=copy, check=True, capture_output=True, text=True).stdout
    artifacts = [json.loads(line) for line in told.splitlines()]
    tests = next(a["executable"] for a in artifacts if a.get("executable") and a["target"]["name"] == "quintain_core")
    return str(copy / "target/sim/quintain-sim"), tests, sorted(left_out)


def passes(command, number, cwd):
    """Whether a run with a mutant comes to a good end."""
    try:
        # What proptest found with one mutant is not tried with the next one.
        environment = {**os.environ, "MUTANT": str(number), "PROPTEST_DISABLE_FAILURE_PERSISTENCE": "1"}
        return subprocess.run(command, cwd=cwd, env=environment, timeout=ENDLESS_S,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def attempt(number, simulator, tests, seeds, work):
    folder = work / "runs" / str(number)
    folder.mkdir(parents=True, exist_ok=True)
    run = lambda count: [simulator, "run", "--seeds", str(count), "--jobs", "1", "--no-shrink"]
    stages = [("seeds", run(min(FEW, seeds)), folder), ("tests", [tests, "--quiet"], work / "tree/core"),
              ("seeds", run(seeds), folder)]
    killers = (killer for killer, command, cwd in stages if not passes(command, number, cwd))
    killer = next(killers, None)
    shutil.rmtree(folder)
    return number, killer


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--most", type=int)
    parser.add_argument("--module", action="append")
    parser.add_argument("--only", action="append", type=int)
    arguments = parser.parse_args()
    work = arguments.work.resolve()
    mutants = listed(arguments.module or MODULES)
    print(f"{len(mutants)} mutants", flush=True)
    built = work / "built.json"
    # The numbers of mutants mean something for one list only.
    names = [mutant["name"] for mutant in mutants.values()]
    if not built.exists():
        built.write_text(json.dumps([*build(work, mutants), names, arguments.seeds]))
    simulator, tests, left_out, *measured = json.loads(built.read_text())
    if measured != [names, arguments.seeds]:
        sys.exit(f"{work} has other mutants, or another number of seeds: begin in another folder")
    if killer := attempt(0, simulator, tests, arguments.seeds, work)[1]:
        sys.exit(f"without a mutant, the {killer} fail")
    kept = work / "outcome.json"
    outcome = {int(number): killer for number, killer in json.loads(kept.read_text()).items()} if kept.exists() else {}
    wanted = [number for number in mutants if number not in left_out and number in (arguments.only or mutants)]
    random.Random(0).shuffle(wanted)
    wanted = wanted[:arguments.most]
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        tries = [pool.submit(attempt, number, simulator, tests, arguments.seeds, work)
                 for number in wanted if number not in outcome]
        for done in concurrent.futures.as_completed(tries):
            number, killer = done.result()
            outcome[number] = killer
            kept.write_text(json.dumps(outcome))
            if killer is None:
                print(f"survived: {number} {mutants[number]['name']}", flush=True)
    modules = {}
    for number in wanted:
        killed, of = modules.get(mutants[number]["file"], (0, 0))
        modules[mutants[number]["file"]] = (killed + (outcome[number] is not None), of + 1)
    print(f"\n{'module':45} {'killed':>7} {'of':>5}")
    for name, (killed, of) in sorted(modules.items()):
        print(f"{name:45} {killed:7} {of:5}")
    killed = sum(outcome[number] is not None for number in wanted)
    print(f"{killed} of {len(wanted)} mutants killed by unit tests and {arguments.seeds} seeds, "
          f"{100 * killed / max(len(wanted), 1):.1f} %; {len(left_out)} more did not compile")


if __name__ == "__main__":
    main()
