"""stored_main.py - the command line of submit and durable, and the order of their runs."""

import argparse
import os
import shutil
import signal
import sys

import stored_long
import stored_report
import stored_run
from rpc import on_interrupt, say
from rpc_run import Machine, RunFailed
from stored_cells import DURABLE
from stored_servers import Disk, StoredPrograms

REPEATS = 5
SECONDS = 2


def parse_arguments(work, about):
    parser = argparse.ArgumentParser(prog=f"./dev bench {work}", description=about)
    parser.add_argument("--repeats", type=int, default=REPEATS, metavar="N",
                        help=f"of every cell ({REPEATS})")
    parser.add_argument("--seconds", type=int, default=SECONDS, metavar="N",
                        help=f"of each run ({SECONDS})")
    parser.add_argument("--only", metavar="TEXT", help="cells whose name has TEXT in it")
    parser.add_argument("--list", action="store_true", help="name the cells, run nothing")
    parser.add_argument("--no-trace", action="store_true", help="do not count syncs by strace")
    parser.add_argument("--data", metavar="FOLDER", default="/var/tmp",
                        help="on the disk to measure (/var/tmp)")
    parser.add_argument("--markdown", metavar="FILE", help="write the table into FILE, too")
    parser.add_argument("--build", metavar="FOLDER",
                        default=os.environ.get("GALLEON_BUILD", "build/release"),
                        help="where the programs are (build/release)")
    if work == DURABLE:
        parser.add_argument("--long", action="store_true",
                            help="also with ten million requests pending; some minutes, 10 GB")
        parser.add_argument("--pending", type=int, default=stored_long.PENDING, metavar="N",
                            help=f"so many instead of {stored_long.PENDING:,}, with --long")
    return parser.parse_args()


def present(cells, bench, results):
    """The cells whose system is installed."""
    left_out = {cell.system for cell in cells if not bench.has(cell.system)}
    for system in sorted(left_out):
        results.notes.append(f"{system} is not installed: left out.")
    return [cell for cell in cells if cell.system not in left_out]


def run_all(cells, bench, arguments, results):
    for repeat in range(arguments.repeats):
        for number, cell in enumerate(cells, 1):
            say(f"repeat {repeat + 1} of {arguments.repeats}, {number} of {len(cells)}: "
                f"{cell.name()}")
            try:
                results.add(cell, repeat, bench.run(cell))
            except RunFailed as failure:
                results.failures.append(f"{cell.name()}: {failure}")
    say("")


def trace_all(cells, bench, results):
    if shutil.which("strace") is None:
        results.notes.append("strace is not installed: syncs are not counted.")
        return
    for cell in stored_run.traced_cells(cells):
        say(f"strace: {cell.name()}")
        try:
            acks, syncs = results.traced[cell] = stored_run.trace(bench, cell)
            if syncs * cell.window < acks:
                results.failures.append(f"{cell.name()}: {acks} acknowledged, {syncs} syncs")
        except RunFailed as failure:
            results.notes.append(f"{cell.name()}: syncs are not counted: {failure}.")
    say("")


def measure(cells, bench, arguments, results):
    run_all(cells, bench, arguments, results)
    if not arguments.no_trace:
        trace_all(cells, bench, results)
    if getattr(arguments, "long", False):
        try:
            results.long = stored_long.run(bench, arguments, say)
        except RunFailed as failure:
            results.failures.append(f"long: {failure}")


def main(work, cells, about):
    arguments = parse_arguments(work, about)
    cells = [cell for cell in cells if not arguments.only or arguments.only in cell.name()]
    if arguments.list:
        print("\n".join(cell.name() for cell in cells))
        return 0
    programs = StoredPrograms(arguments.build)
    if programs.missing():
        print(f"{work}.py: {programs.missing()} is not built: use ./dev bench {work}",
              file=sys.stderr)
        return 2
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_interrupt)
    results = stored_report.StoredResults()
    results.is_partial = bool(arguments.only)
    is_interrupted = False
    with Disk(arguments.data) as disk:
        if disk.is_in_memory():
            print(f"{work}.py: {arguments.data} is in memory ({disk.file_system()}), where a sync "
                  "costs nothing: give --data a folder on a disk", file=sys.stderr)
            return 2
        print(f"data on {disk.file_system()}", file=sys.stderr)
        bench = stored_run.Bench(programs, Machine(), disk, arguments.seconds)
        try:
            measure(present(cells, bench, results), bench, arguments, results)
        except KeyboardInterrupt:
            is_interrupted = True
            print(f"\n{work}.py: interrupted; this is what there is", file=sys.stderr)
        text = stored_report.report(results, work, bench)
    print(text)
    if is_interrupted:
        return 130
    if arguments.markdown:
        stored_report.write_markdown(arguments.markdown, work, text)
    return 1 if results.failures else 0
