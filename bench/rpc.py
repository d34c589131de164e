#!/usr/bin/env python3
"""rpc.py - measures request/reply: a bare relay, and mdbroker beside it.

Usage: ./dev bench rpc [--full] [OPTION]...        the method is in bench/README.md

Starts a fresh server and a fresh load for each cell, one cell after the other, and all cells again
for each repeat, so that whatever else the machine does falls on all of them alike. Prints a table
of medians, and which targets are reached. Exit code 1 where anything was lost or wrong.
"""

import argparse
import os
import resource
import signal
import sys
import time

import rpc_cells
import rpc_report
from rpc_run import Machine, Programs, RunFailed, measure_memory, run_cell

REPEATS = 5
REPEATS_FULL = 3
REPEATS_MIN = 3             # also when time is short
SECONDS_MAX = 280           # no repeat begins that would end later, if there are REPEATS_MIN
MILLION = 1_000_000
FILES_MAX = 20_000          # a thousand clients are as many sockets, on both sides


def parse_arguments():
    parser = argparse.ArgumentParser(prog="./dev bench rpc", description="Measures request/reply.")
    parser.add_argument("--full", action="store_true", help="every combination; half an hour")
    parser.add_argument("--repeats", type=int, metavar="N",
                        help=f"of every cell ({REPEATS}; {REPEATS_FULL} with --full)")
    parser.add_argument("--measure", type=int, default=1000, metavar="MS",
                        help="of each run (1000)")
    parser.add_argument("--warmup", type=int, default=300, metavar="MS", help="before it (300)")
    parser.add_argument("--only", metavar="TEXT", help="cells whose name has TEXT in it")
    parser.add_argument("--list", action="store_true", help="name the cells, run nothing")
    parser.add_argument("--no-memory", action="store_true", help="leave the memory out")
    parser.add_argument("--markdown", metavar="FILE", help="write the table into FILE, too")
    parser.add_argument("--build", metavar="FOLDER", default=os.environ.get("GALLEON_BUILD"),
                        help="where the programs are (build/release)")
    parser.add_argument("--broker", metavar="PROGRAM", help="another mdbroker")
    return parser.parse_args()


def allow_many_files():
    """Raises the limit that every program started from here inherits."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_MAX if hard == resource.RLIM_INFINITY else min(FILES_MAX, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def on_interrupt(_number, _frame):
    """Once: what was started is being ended, and another Ctrl-C must not keep us from it."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def say(text):
    """Shows how far it is, on one line where somebody looks."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
    else:
        print(text, file=sys.stderr, flush=True)


def run_all(cells, programs, machine, arguments, results, run=run_cell):
    """Runs every cell once for each repeat, and puts what came out into results."""
    repeats = arguments.repeats or (REPEATS_FULL if arguments.full else REPEATS)
    began = time.monotonic()
    for repeat in range(repeats):
        took = time.monotonic() - began
        in_time = arguments.full or arguments.repeats or took * (repeat + 1) < SECONDS_MAX * repeat
        if repeat >= REPEATS_MIN and not in_time:
            results.notes.append(f"{repeat} repeats instead of {repeats}: the time was over.")
            break
        for number, cell in enumerate(cells, 1):
            say(f"repeat {repeat + 1} of {repeats}, {number} of {len(cells)}: {cell.name()}")
            try:
                results.add(cell, repeat, run(cell, programs, machine, arguments))
            except RunFailed as failure:
                results.failures.append(f"{cell.name()}: {failure}")
    say("")


def run_memory(programs, machine, arguments, results):
    say("memory")
    requests = (10 if arguments.full else 1) * MILLION
    try:
        results.memory = measure_memory(programs, machine, requests)
    except RunFailed as failure:
        results.failures.append(f"memory: {failure}")
    say("")


def main():
    arguments = parse_arguments()
    cells = rpc_cells.full_cells() if arguments.full else rpc_cells.target_cells()
    machine = Machine()
    cells = [cell for cell in cells if machine.has_place(cell.place)
             and (not arguments.only or arguments.only in cell.name())]
    if arguments.list:
        print("\n".join(cell.name() for cell in cells))
        return 0
    programs = Programs(arguments.build or "build/release", arguments.broker)
    missing = programs.missing()
    if missing:
        print(f"rpc.py: {missing} is not built: use ./dev bench rpc", file=sys.stderr)
        return 2

    allow_many_files()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_interrupt)
    results = rpc_report.Results()
    results.is_partial = bool(arguments.only)
    try:
        run_all(cells, programs, machine, arguments, results)
        if not arguments.only and not arguments.no_memory:
            run_memory(programs, machine, arguments, results)
    except KeyboardInterrupt:
        print("\nrpc.py: interrupted; this is what there is", file=sys.stderr)
        print(rpc_report.report(results, machine, programs))
        return 130
    text = rpc_report.report(results, machine, programs)
    print(text)
    if arguments.markdown:
        rpc_report.write_markdown(arguments.markdown, text)
    return 1 if results.failures else 0


if __name__ == "__main__":
    sys.exit(main())
