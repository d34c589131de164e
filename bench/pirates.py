#!/usr/bin/env python3
"""pirates.py - measures the pirates' queues: a bare relay, ours, and one that does what the Guide's do.

Usage: ./dev bench pirates [OPTION]...        the method is in bench/README.md

Starts a fresh server and a fresh load for each cell, one cell after the other, and all cells again
for each repeat. Prints a table of medians, and which targets are reached. Exit code 1 where
anything was lost or wrong.
"""

import argparse
import dataclasses
import os
import signal
import statistics
import sys

import rpc_report
from rpc import REPEATS, on_interrupt, run_all
from rpc_cells import FREE, RELAY, SPLIT, Cell
from rpc_report import Target, ratio_text, short, table, time_text
from rpc_run import ANY_PORT, Machine, Programs

PPP, SP = "ppp", "sp"
QUEUES = {PPP: "ppqueue", SP: "spqueue"}
LOADS = ({"clients": 4, "workers": 4}, {"clients": 1, "workers": 64})
BEGIN = "<!-- pirates: generated from here -->"
END = "<!-- pirates: to here -->"
NEW_FILE = """# Benchmark of the pirates' queues

What `./dev bench pirates` measured. The method, and how to read it, are in
[bench/README.md](../bench/README.md).
"""


@dataclasses.dataclass(frozen=True)
class PirateCell(Cell):
    """A queue, ours or the other, under a load."""

    is_guide: bool = False

    def server(self):
        return f"guide {self.system}" if self.is_guide else self.system

    def label(self):
        return f"as the Guide's {QUEUES[self.system]}" if self.is_guide else QUEUES[self.system]

    def guide(self):
        return dataclasses.replace(self, is_guide=True)


class QueuePrograms(Programs):
    """The programs that are started here."""

    # Ours says it in two lines, the others in one.
    ready = r"ready on (\S+)(?: for clients\n\w+: ready on)? (\S+)(?: for workers)?\n"

    def __init__(self, build):
        super().__init__(build, None)
        self.guide = os.path.join(build, "bench", "guide_queue")
        self.queues = {system: os.path.join(build, name) for system, name in QUEUES.items()}

    def missing(self):
        for path in (self.relay, self.load, self.guide, *self.queues.values()):
            if not os.access(path, os.X_OK):
                return os.path.basename(path)
        return None

    def server_command(self, system):
        if system == RELAY:
            return super().server_command(system)
        if system.startswith("guide "):
            return [self.guide, system.removeprefix("guide "), ANY_PORT, ANY_PORT]
        return [self.queues[system], "--frontend", ANY_PORT, "--backend", ANY_PORT]


def cells_of(machine):
    """All cells, each queue's beside the relay and the other that it is compared to."""
    found = []
    for load in LOADS:
        for place in (SPLIT, FREE):
            for system in (PPP, SP):
                cell = PirateCell(system, place, **load)
                found += [one for one in (cell.relay(), cell, cell.guide()) if one not in found]
    return [cell for cell in found if machine.has_place(cell.place)]


# ---- The report ---------------------------------------------------------------------------------


def figures(results, cell):
    """Round trips, of the relay, of the Guide's, latency: four columns."""
    rates = results.values(cell, "rate")
    if not rates:
        return ["-"] * 4
    rate = f"{short(statistics.median(rates))} ({short(min(rates))} - {short(max(rates))})"
    latency = (f"{time_text(results.median(cell, 'p50_us'))} / "
               f"{time_text(results.median(cell, 'p99_us'))}")
    if cell.system == RELAY:
        return [rate, "1", "-", latency]
    of_guide = "1" if cell.is_guide else ratio_text(results.ratio(cell, cell.guide()))
    return [rate, ratio_text(results.ratio(cell, cell.relay())), of_guide, latency]


def busy(results, cell):
    server, load = results.median(cell, "server_cpu"), results.median(cell, "load_cpu")
    return "-" if server is None else f"{server:.2f} / {load:.2f}"


def main_table(results):
    rows = []
    for cell in results.runs:
        rows.append([f"{cell.clients}c/{cell.workers}w, {cell.place}", cell.label(),
                     *figures(results, cell), busy(results, cell)])
    return table(["load", "system", "round trips/s", "of relay", "of the Guide's", "p50 / p99",
                  "busy: server / load"], rows)


def targets(results):
    few, many = LOADS
    ours = {(load["workers"], place): PirateCell(PPP, place, **load)
            for load in LOADS for place in (SPLIT, FREE)}
    yield Target("ppqueue, 1c/64w, unpinned, of the relay", 0.25, False,
                 results.ratio(ours[many["workers"], FREE], ours[many["workers"], FREE].relay()))
    yield Target("ppqueue, 4c/4w, pinned, of the relay", 0.11, False,
                 results.ratio(ours[few["workers"], SPLIT], ours[few["workers"], SPLIT].relay()))
    for (workers, place), cell in ours.items():
        yield Target(f"ppqueue, {workers} workers, {place}, of the Guide's", 2, False,
                     results.ratio(cell, cell.guide()))


def report(results, machine, programs):
    parts = [rpc_report.wrapped(rpc_report.facts(results, machine, programs))]
    if results.runs:
        parts += [main_table(results),
                  table(["target", "wanted", "measured", ""],
                        [target.row() for target in targets(results)
                         if target.value is not None or not results.is_partial])]
    if results.failures:
        parts.append("Runs that failed, and are in no figure:")
        parts.append("\n".join(f"- {failure}" for failure in results.failures))
    return "\n\n".join(parts)


# ---- The command --------------------------------------------------------------------------------


def parse_arguments():
    parser = argparse.ArgumentParser(prog="./dev bench pirates",
                                     description="Measures the pirates' queues.")
    parser.add_argument("--repeats", type=int, default=REPEATS, metavar="N",
                        help=f"of every cell ({REPEATS})")
    parser.add_argument("--measure", type=int, default=1000, metavar="MS",
                        help="of each run (1000)")
    parser.add_argument("--warmup", type=int, default=300, metavar="MS", help="before it (300)")
    parser.add_argument("--only", metavar="TEXT", help="cells whose name has TEXT in it")
    parser.add_argument("--list", action="store_true", help="name the cells, run nothing")
    parser.add_argument("--markdown", metavar="FILE", help="write the table into FILE, too")
    parser.add_argument("--build", metavar="FOLDER",
                        default=os.environ.get("GALLEON_BUILD", "build/release"),
                        help="where the programs are (build/release)")
    arguments = parser.parse_args()
    arguments.full = False
    return arguments


def main():
    arguments = parse_arguments()
    machine = Machine()
    cells = [cell for cell in cells_of(machine)
             if not arguments.only or arguments.only in cell.name()]
    if arguments.list:
        print("\n".join(cell.name() for cell in cells))
        return 0
    programs = QueuePrograms(arguments.build)
    missing = programs.missing()
    if missing:
        print(f"pirates.py: {missing} is not built: use ./dev bench pirates", file=sys.stderr)
        return 2
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_interrupt)
    results = rpc_report.Results()
    results.is_partial = bool(arguments.only)
    try:
        run_all(cells, programs, machine, arguments, results)
    except KeyboardInterrupt:
        print("\npirates.py: interrupted; this is what there is", file=sys.stderr)
        print(report(results, machine, programs))
        return 130
    text = report(results, machine, programs)
    print(text)
    if arguments.markdown:
        rpc_report.write_markdown(arguments.markdown, text, BEGIN, END, NEW_FILE)
    return 1 if results.failures else 0


if __name__ == "__main__":
    sys.exit(main())
