#!/usr/bin/env python3
"""pirates.py - measures the pirates' queues: a bare relay, ours, and one that does what the Guide's do.

Usage: ./dev bench pirates [OPTION]...        the method is in bench/README.md

Starts a fresh server and a fresh load for each cell, one cell after the other, and all cells again
for each repeat. Prints a table of medians, and which targets are reached. Exit code 1 where
anything was lost or wrong.
"""

import dataclasses
import os
import statistics
import sys

import rpc_report
from rpc_cells import FREE, RELAY, SPLIT, Cell
from rpc_command import Command
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


def main():
    machine = Machine()
    command = Command("pirates", "Measures the pirates' queues.", main_table,
                      targets, (BEGIN, END, NEW_FILE))
    return command.run(cells_of(machine), QueuePrograms, machine)


if __name__ == "__main__":
    sys.exit(main())
