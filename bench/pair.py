#!/usr/bin/env python3
"""pair.py - measures what it costs a broker to be one of a pair while both halves are well.

Usage: ./dev bench pair [OPTION]...        the method is in bench/README.md

Starts a fresh broker, or pair, and a fresh load for each cell, one cell after the other, and all
cells again for each repeat. Prints a table of medians, and which targets are reached. Exit code 1
where anything was lost or wrong.
"""

import contextlib
import dataclasses
import os
import re
import statistics
import sys
import tempfile

import rpc_report
from rpc_cells import SPLIT, Cell
from rpc_command import Command
from rpc_report import Target, ratio_text, short, table, time_text
from rpc_run import Machine, Programs, RunFailed, Server, run_against

ALONE, CLASSIC, GUARDED = "alone", "classic", "guarded"
LABELS = {ALONE: "mdbroker alone", CLASSIC: "half of a classic pair",
          GUARDED: "half of a guarded pair"}
WINDOWS = (100, 1000)
REPEATS = 15                # what is looked for is a few percent
SERVES = r"ready on (\S+)\n(?:.*\n)*?warn PAIR-STATE was=\S+ is=ACTIVE .*\n"
VOTES = r"starwitness: ready on (\S+)\n"
BEGIN = "<!-- pair: generated from here -->"
END = "<!-- pair: to here -->"
NEW_FILE = """# What a pair costs

What `./dev bench pair` measured: a broker alone, and the half that serves of a pair that is well.
The method, and how to read it, are in [bench/README.md](../bench/README.md).
"""


@dataclasses.dataclass(frozen=True)
class PairCell(Cell):
    """G1 through a broker that is alone, or one of two."""

    mode: str = ALONE

    def label(self):
        return LABELS[self.mode]

    def alone(self):
        return dataclasses.replace(self, mode=ALONE)


def cell_of(window, mode):
    return PairCell("g1", SPLIT, window=window, credit=window, clients=4, workers=4, mode=mode)


class PairPrograms(Programs):
    """The programs that are started here."""

    def __init__(self, build):
        super().__init__(build, None)
        self.witness = os.path.join(build, "starwitness")

    def missing(self):
        for path in (self.load, self.broker, self.witness):
            if not os.access(path, os.X_OK):
                return os.path.basename(path)
        return None

    def half_command(self, role, mode, folder):
        other = "backup" if role == "primary" else "primary"
        command = [*self.server_command("g1"), "--log-level", "info", "--pair", role,
                   "--pair-bind", f"ipc://{folder}/{role}", "--pair-peer", f"ipc://{folder}/{other}"]
        if mode == GUARDED:
            command += ["--witness", f"ipc://{folder}/witness",
                        "--pair-state", f"{folder}/{role}.vote", "--pair-init"]
        return command

    def witness_command(self, folder):
        return [self.witness, "--bind", f"ipc://{folder}/witness",
                "--state", f"{folder}/witness.vote", "--pair-init"]


@contextlib.contextmanager
def started(cell, programs, machine):
    """The broker that serves. Its peer and the witness, which in service are other machines, share
    the load's CPU; workers have a session with the peer, too."""
    ours, others = machine.server_cpus(cell.place), machine.load_cpus(cell.place)
    with contextlib.ExitStack() as stack:
        if cell.mode == ALONE:
            command = [*programs.server_command("g1"), "--log-level", "info"]
            yield stack.enter_context(Server(command, ours))
            return
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="galleon-bench-"))
        if cell.mode == GUARDED:
            stack.enter_context(Server(programs.witness_command(folder), others, VOTES))
        peer = Server(programs.half_command("backup", cell.mode, folder), others)
        stack.enter_context(peer)
        server = Server(programs.half_command("primary", cell.mode, folder), ours, SERVES)
        stack.enter_context(server)
        server.load_arguments = ["--also-to", peer.endpoints[0]]
        yield server


def run_one(cell, programs, machine, arguments):
    """Measures one cell once; the one that served has to do so until the end, and end well."""
    with started(cell, programs, machine) as server:
        figures = run_against(server, cell, programs, machine, arguments)
        if re.search(r"PAIR-STATE was=ACTIVE", server.said()):
            raise RunFailed("it has ceased to serve")
    if server.process.returncode != 0:
        raise RunFailed(f"asked to end, the broker did so with {server.process.returncode}")
    return figures


# ---- The report ---------------------------------------------------------------------------------


def trip_text(results, cell):
    """CPU time of the broker for each round trip: what busy neighbours change least."""
    trips = [1e6 * figures["server_cpu"] / figures["rate"]
             for figures in results.runs[cell].values()]
    return f"{statistics.median(trips):.3g}"


def main_table(results):
    rows = []
    for cell in results.runs:
        rates = results.values(cell, "rate")
        rows.append([
            rpc_report.load_text(cell), cell.label(),
            f"{short(statistics.median(rates))} ({short(min(rates))} - {short(max(rates))})",
            "1" if cell.mode == ALONE else ratio_text(results.ratio(cell, cell.alone())),
            f"{time_text(results.median(cell, 'p50_us'))} / "
            f"{time_text(results.median(cell, 'p99_us'))}",
            trip_text(results, cell), rpc_report.busy_text(results, cell)])
    return table(["load, G1, pinned", "system", "round trips/s", "of alone", "p50 / p99",
                  "its CPU time each, us", "busy: server / load"], rows)


def targets(results):
    for mode, percent in ((CLASSIC, 3), (GUARDED, 5)):
        for window in WINDOWS:
            cell = cell_of(window, mode)
            ratio = results.ratio(cell, cell.alone())
            yield Target(f"{LABELS[mode]}, window {window}: throughput that it costs", percent,
                         True, None if ratio is None else 100 * (1 - ratio), " %")


def main():
    machine = Machine()
    command = Command("pair", "Measures what being one of a pair costs.", main_table,
                      targets, (BEGIN, END, NEW_FILE), run_one, REPEATS)
    why_not = None if machine.has_place(SPLIT) else "this wants two CPUs"
    cells = [cell_of(window, mode) for window in WINDOWS for mode in LABELS]
    return command.run(cells, PairPrograms, machine, why_not)


if __name__ == "__main__":
    sys.exit(main())
