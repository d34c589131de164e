"""stored_report.py - tables and targets of submit and durable.

A figure is the median of its repeats. A ratio is the median of the ratios of each repeat, in which
both were measured one after the other.
"""

import os
import statistics

import rpc_report
from rpc_report import Target, ratio_text, short, table, time_text, wrapped
from stored_cells import (AUDITED, DURABLE, ECHO, KIB, OURS, PLAIN, POSTGRES, POSTGRES_ONE, REDIS,
                          SUBMIT, SYNC, Cell)

WHAT = {SUBMIT: "acknowledged", DURABLE: "done and fetched"}
THREADS = (("mdbroker", "main"), ("mdbroker", "io"), ("titanic", "main"), ("titanic", "store"),
           ("titanic", "io"))
HEADINGS = {SUBMIT: "## Submits", DURABLE: "## Submit, execute, fetch"}
NEW_FILE = """# Durable requests: how fast they are

What `./dev bench submit` and `./dev bench durable` measured. The method, and how to read it, are in
[bench/README.md](../bench/README.md). Only ratios carry from one machine to another.
"""


# ---- Tables -------------------------------------------------------------------------------------


def range_text(results, cell):
    rates = results.values(cell, "rate")
    return f"{short(statistics.median(rates))} ({short(min(rates))} - {short(max(rates))})"


def latency_text(results, cell):
    return (f"{time_text(results.median(cell, 'p50_us'))} / "
            f"{time_text(results.median(cell, 'p99_us'))}")


def busy_text(results, cell):
    """Of one CPU each: servers, then the load."""
    names = ("mdbroker", "titanic", "mdworker") if cell.system in OURS else (cell.system,)
    names = [name for name in names if results.has(cell, f"{name}/busy")]
    return " / ".join(f"{results.median(cell, f'{name}/busy'):.2f}" for name in (*names, "load"))


def per_commit_text(results, cell):
    return f"{results.median(cell, 'per_commit'):.3g}" if results.has(cell, "per_commit") else "-"


def main_table(results, work):
    """One row for each system and load."""
    peers = [peer for peer in (REDIS, POSTGRES, POSTGRES_ONE)
             if any(cell.system == peer for cell in results.runs)]
    head = ["load", "system", f"{WHAT[work]}/s", *(f"of {peer}" for peer in peers), "p50 / p99",
            "busy: servers / load", "requests per commit"]
    rows = []
    for cell in results.runs:
        if cell.system in (SYNC, ECHO):
            continue
        ratios = ["1" if cell.system == peer else ratio_text(results.ratio(cell, cell.of(peer)))
                  for peer in peers]
        rows.append([cell.load(), cell.system, range_text(results, cell), *ratios,
                     latency_text(results, cell), busy_text(results, cell),
                     per_commit_text(results, cell)])
    return table(head, rows) if rows else ""


def cost_text(microseconds):
    """Two digits, but never an exponent."""
    return f"{microseconds:.0f}" if microseconds >= 10 else f"{microseconds:.2g}"


def profile_table(results):
    """What the threads of ours spend on one request: program + kernel."""
    rows = []
    for cell in results.runs:
        if cell.system not in OURS or not results.has(cell, "titanic/main/program/us"):
            continue
        row, whole = [], 0
        for server, kind in THREADS:
            parts = [results.median(cell, f"{server}/{kind}/{side}/us")
                     for side in ("program", "kernel")]
            whole += sum(parts)
            row.append(" + ".join(map(cost_text, parts)))
        rows.append([cell.load(), cell.system, cost_text(whole), *row])
    head = ["CPU time of the servers, us for each request (program + kernel)", "system", "in all",
            "mdbroker: main", "its I/O thread", "titanic: main", "its store thread",
            "its I/O thread"]
    return table(head, rows) if rows else ""


def floor_text(results):
    """What one request alone cannot be faster than."""
    sync, echo = results.median(SYNC_CELL, "p50_us"), results.median(ECHO_CELL, "p50_us")
    if sync is None or echo is None:
        return ""
    return (f"In the same run, one at a time, median: fdatasync of a growing file after 100 bytes "
            f"{time_text(sync)}; a plain call through mdbroker to an echo worker "
            f"{time_text(echo)}.")


def traced_table(traced):
    rows = [[cell.load(), cell.system, f"{acks:,}", f"{syncs:,}", f"{acks / syncs:.3g}"]
            for cell, (acks, syncs) in traced.items() if syncs]
    head = ["does an acknowledgement mean a sync? (strace)", "system", "acknowledged",
            "fsync, fdatasync", "in each"]
    return table(head, rows) if rows else ""


# ---- Targets ------------------------------------------------------------------------------------

SYNC_CELL = Cell(SUBMIT, SYNC, 1)
ECHO_CELL = Cell(SUBMIT, ECHO, 1)


def single_ratio(results):
    """How many fdatasyncs a submit takes beyond a plain round trip: the median of the repeats."""
    ours, sync, echo = (results.runs.get(cell, {})
                        for cell in (Cell(SUBMIT, AUDITED, 1), SYNC_CELL, ECHO_CELL))
    values = [(ours[i]["p50_us"] - echo[i]["p50_us"]) / sync[i]["p50_us"]
              for i in ours if i in sync and i in echo]
    return statistics.median(values) if values else None


def submit_targets(results):
    def at(system, window, body=100):
        return Cell(SUBMIT, system, window, body)

    for text, wanted, cell, base in (
            ("100 B, window 1000, audit off, of Redis", 0.6, at(PLAIN, 1000), REDIS),
            ("100 B, window 1000, audit on, of Redis", 0.5, at(AUDITED, 1000), REDIS),
            ("100 B, window 100, audit on, of PostgreSQL", 0.5, at(AUDITED, 100), POSTGRES),
            ("1 KiB, window 100, audit on, of Redis", 1, at(AUDITED, 100, KIB), REDIS),
            ("1 KiB, window 1000, audit on, of Redis", 1, at(AUDITED, 1000, KIB), REDIS),
            ("100 B, window 100, audit on, of audit off", 5 / 6, at(AUDITED, 100), PLAIN),
            ("100 B, window 1000, audit on, of audit off", 5 / 6, at(AUDITED, 1000), PLAIN)):
        yield Target(text, round(wanted, 3), False, results.ratio(cell, cell.of(base)))
    yield Target("window 1: median beyond a plain round trip, of one fdatasync", 2.5, True,
                 single_ratio(results))


def durable_targets(results):
    ours = Cell(DURABLE, AUDITED, 100)
    yield Target("submit, execute, store, fetch, window 100, four workers, audit on, of Redis", 0.6,
                 False, results.ratio(ours, ours.of(REDIS)))


TARGETS = {SUBMIT: submit_targets, DURABLE: durable_targets}


# ---- All of it ----------------------------------------------------------------------------------


def facts(results, bench):
    machine = bench.machine
    repeats = max(map(len, results.runs.values()), default=0)
    text = (f"{machine.model()}, {machine.cores()} CPUs, Linux {machine.kernel()}, data on "
            f"{bench.disk.file_system()}, {', '.join(bench.versions()) or 'no peers'}, "
            f"{repeats} repeats of {bench.seconds} s.")
    others = [figures["others"] for runs in results.runs.values() for figures in runs.values()
              if "others" in figures]
    others += results.long.others if results.long else []
    if others:
        text += (f" What else ran, here or on the machine's host, had "
                 f"{statistics.median(others):.0%} of the CPUs in the median run, "
                 f"{max(others):.0%} in the worst.")
    return text


class StoredResults(rpc_report.Results):
    def __init__(self):
        super().__init__()
        self.traced = {}            # by cell: acknowledged, syncs
        self.long = None            # see stored_long.py

    def has(self, cell, name):
        runs = self.runs.get(cell, {})
        return bool(runs) and all(name in figures for figures in runs.values())


def report(results, work, bench):
    """The whole, as Markdown."""
    parts = [wrapped(facts(results, bench)), main_table(results, work),
             wrapped(floor_text(results)), profile_table(results), traced_table(results.traced)]
    targets = list(TARGETS[work](results))
    if results.long:
        parts += results.long.parts()
        targets += results.long.targets()
    held = [target.row() for target in targets
            if target.value is not None or not results.is_partial]
    if held:
        parts.append(table(["target", "wanted", "measured", ""], held))
    parts += map(wrapped, results.notes)
    if results.failures:
        parts.append("Runs that failed, and are in no figure:")
        parts.append("\n".join(f"- {failure}" for failure in results.failures))
    return "\n\n".join(part for part in parts if part)


def write_markdown(path, work, text):
    """Puts the text between this work's marks. A file that has none gets them at its end."""
    begin, end = f"<!-- {work}: generated from here -->", f"<!-- {work}: to here -->"
    if os.path.exists(path):
        with open(path, "r+", encoding="utf-8") as file:
            if begin not in file.read():
                file.write(f"\n{HEADINGS[work]}\n\n{begin}\n{end}\n")
    new_file = f"{NEW_FILE}\n{HEADINGS[work]}\n"
    rpc_report.write_markdown(path, text, begin, end, new_file)
