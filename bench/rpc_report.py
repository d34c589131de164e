"""rpc_report.py - turns what was measured into tables, and holds it to the targets.

A figure is the median of its repeats. A ratio is the median of the ratios of each repeat, in which
both were measured one after the other.
"""

import dataclasses
import statistics
import textwrap

import rpc_cells
from rpc_cells import FREE, ONE, RELAY, SPLIT

GROWTH_KB_MAX = 512         # what the allocator may keep more of after the last load
BEGIN = "<!-- rpc: generated from here -->"
END = "<!-- rpc: to here -->"
NEW_FILE = """# Benchmark

What `./dev bench rpc` measured. The method, and how to read it, are in
[bench/README.md](../bench/README.md).
"""


class Results:
    def __init__(self):
        self.runs = {}              # by cell: the figures of each repeat
        self.failures = []
        self.notes = []
        self.memory = None
        self.is_partial = False     # only some cells were asked for

    def add(self, cell, repeat, figures):
        self.runs.setdefault(cell, {})[repeat] = figures

    def values(self, cell, name):
        return [figures[name] for figures in self.runs.get(cell, {}).values()]

    def median(self, cell, name):
        values = self.values(cell, name)
        return statistics.median(values) if values else None

    def ratio(self, cell, base, name="rate"):
        """The median of the repeats that have both; None where there is none."""
        ours, theirs = self.runs.get(cell, {}), self.runs.get(base, {})
        ratios = [ours[i][name] / theirs[i][name] for i in ours if i in theirs and theirs[i][name]]
        return statistics.median(ratios) if ratios else None


# ---- Text ---------------------------------------------------------------------------------------


def short(number):
    """520k, 1.25M: three digits are more than the machine repeats."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}{letter}"
    return f"{number:.0f}"


def time_text(microseconds):
    if microseconds >= 1000:
        return f"{microseconds / 1000:.3g} ms"
    return f"{microseconds:.3g} us"


def ratio_text(ratio):
    return "-" if ratio is None else f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.3f}"


def table(head, rows):
    """A Markdown table that can be read as it stands."""
    widths = [max(len(str(row[i])) for row in [head, *rows]) for i in range(len(head))]
    def line(cells):
        return "| " + " | ".join(str(c).ljust(w) for c, w in zip(cells, widths)) + " |"
    return "\n".join([line(head), line(["-" * w for w in widths]), *map(line, rows)])


# ---- The table ----------------------------------------------------------------------------------


def figure_texts(results, cell):
    """Round trips, of the relay, latency: three columns."""
    rates = results.values(cell, "rate")
    if not rates:
        return ["-", "-", "-"]
    rate = f"{short(statistics.median(rates))} ({short(min(rates))} - {short(max(rates))})"
    p50, p99 = results.median(cell, "p50_us"), results.median(cell, "p99_us")
    ratio = "1" if cell.system == RELAY else ratio_text(results.ratio(cell, cell.relay()))
    return [rate, ratio, f"{time_text(p50)} / {time_text(p99)}"]


def busy_text(results, cell):
    server, load = results.median(cell, "server_cpu"), results.median(cell, "load_cpu")
    return "-" if server is None else f"{server:.2f} / {load:.2f}"


def load_text(cell):
    body = f"{cell.body} B" if cell.body < 1024 else f"{cell.body / 1024:g} KiB"
    text = f"window {cell.window}, {cell.clients}c/{cell.workers}w, {body}"
    if cell.waiting_services:
        text += f", {cell.waiting_services:,} waiting services"
    if cell.idle_workers:
        text += f", {cell.idle_workers:,} idle workers"
    return text


def main_table(results):
    """One row for each system and load; pinned (or on one CPU) and unpinned side by side."""
    head = ["load", "system", "round trips/s", "of relay", "p50 / p99", "busy: server / load",
            "unpinned", "of relay", "p50 / p99"]
    rows, done = [], set()
    for cell in results.runs:
        key = dataclasses.replace(cell, place="")
        if key in done:
            continue
        done.add(key)
        pinned = next((dataclasses.replace(cell, place=place) for place in (ONE, SPLIT)
                       if dataclasses.replace(cell, place=place) in results.runs), cell)
        free = dataclasses.replace(cell, place=FREE)
        where = ", on one CPU" if pinned.place == ONE else ""
        fixed = figure_texts(results, pinned) if pinned.place != FREE else ["-"] * 3
        rows.append([load_text(cell) + where, cell.label(), *fixed, busy_text(results, pinned),
                     *figure_texts(results, free)])
    return table(head, rows)


def growth_table(results):
    """What bystanders cost the load beside which they stand."""
    rows = []
    for cell in results.runs:
        if cell.plain() == cell:
            continue
        alone = results.median(cell.plain(), "rate")
        rows.append([load_text(cell), ratio_text(results.ratio(cell, cell.plain())),
                     short(results.median(cell, "rate")), "-" if alone is None else short(alone)])
    return table(["load (G1, pinned)", "of the same without", "round trips/s", "without"], rows)


def profile_table(results):
    """What the server's threads spend on one round trip."""
    names = ["main_program_us", "main_kernel_us", "io_program_us", "io_kernel_us"]
    rows = []
    for cell in results.runs:
        if cell.place == FREE and dataclasses.replace(cell, place=SPLIT) in results.runs:
            continue
        parts = [results.median(cell, name) for name in names]
        where = ", on one CPU" if cell.place == ONE else ", unpinned" if cell.place == FREE else ""
        rows.append([load_text(cell) + where, cell.label(), f"{sum(parts):.3g}",
                     *(f"{part:.2g}" for part in parts)])
    head = ["CPU time of the server, us for each round trip", "system", "in all",
            "main thread: program", "its kernel", "I/O thread: program", "its kernel"]
    return table(head, rows)


def memory_text(memory):
    after = ", ".join(f"{kb / 1024:.1f}" for kb in memory["after"])
    return (f"mdbroker has {memory['idle'] / 1024:.1f} MB in memory when idle, and after each "
            f"tenth of {memory['requests']:,} requests, each with new peers: {after} MB.")


# ---- Targets ------------------------------------------------------------------------------------


@dataclasses.dataclass
class Target:
    text: str
    wanted: float
    is_limit: bool          # at most, not at least
    value: float            # None: not measured
    unit: str = ""

    def verdict(self):
        if self.value is None:
            return "not measured"
        is_reached = self.value <= self.wanted if self.is_limit else self.value >= self.wanted
        return "reached" if is_reached else "MISSED"

    def row(self):
        sign = "at most" if self.is_limit else "at least"
        got = "-" if self.value is None else f"{self.value:.3g}{self.unit}"
        return [self.text, f"{sign} {self.wanted:g}{self.unit}", got, self.verdict()]


def rate_targets(results):
    """Yields text, what is wanted, and what is compared to what."""
    cells = rpc_cells
    for text, wanted, cell in (
            ("G1, window 100, 1c/1w, pinned, of the relay", 1.2, cells.g1_one(SPLIT)),
            ("the same, unpinned", 2.5, cells.g1_one(FREE)),
            ("G1, window 100, 4c/4w, pinned, of the relay", 1.2, cells.g1_four(SPLIT)),
            ("G1, window 1000, 4c/4w, pinned, of the relay", 2.5, cells.g1_thousand(SPLIT)),
            ("G1, 10 KiB, window 100, 1c/1w, pinned, of the relay", 0.9, cells.g1_large(SPLIT)),
            ("0.1, window 100, 4c/4w, pinned, of the relay", 0.11, cells.old_four(SPLIT)),
            ("0.1, window 100, 1c/64w, unpinned, of the relay 1c/1w", 0.35, cells.old_many(FREE))):
        yield text, wanted, results.ratio(cell, cell.relay())
    for text, cell in (("10,000 services with a request waiting", cells.many_services(10_000)),
                       ("1,000 idle workers", cells.many_workers(1_000))):
        text += ": G1, 4c/4w, pinned, of the same without"
        yield text, 0.85, results.ratio(cell, cell.plain())


def targets(results):
    out = [Target(text, wanted, False, value) for text, wanted, value in rate_targets(results)]
    single = rpc_cells.g1_single()
    out.insert(4, Target("G1, window 1, all on one CPU: median latency, of the relay's", 1.15, True,
                         results.ratio(single, single.relay(), "p50_us")))
    memory = results.memory
    idle = memory["idle"] / 1024 if memory else None
    growth = (memory["after"][-1] - memory["after"][0]) / 1024 if memory else None
    requests = memory["requests"] if memory else 0
    out.append(Target("memory of an idle mdbroker", 10, True, idle, " MB"))
    out.append(Target(f"growth from the first tenth of {requests:,} requests to the last",
                      GROWTH_KB_MAX / 1024, True, growth, " MB"))
    return out


def million_text(results):
    """How far a million round trips a second is."""
    parts = []
    for place in (SPLIT, FREE):
        rate = results.median(rpc_cells.g1_thousand(place), "rate")
        if rate:
            parts.append(f"{short(rate)} round trips/s {place} ({rate / 1e4:.0f} %)")
    return f"Of 1,000,000 on this machine, window 1000, 4c/4w: {', '.join(parts)}." if parts else ""


# ---- All of it ----------------------------------------------------------------------------------


def facts(results, machine, programs):
    repeats = max(map(len, results.runs.values()), default=0)
    text = (f"{machine.model()}, {machine.cores()} CPUs, Linux {machine.kernel()}, "
            f"libzmq {programs.libzmq()}, {repeats} repeats.")
    others = [figures["others"] for runs in results.runs.values() for figures in runs.values()]
    if others:
        text += (f" What else ran, here or on the machine's host, had "
                 f"{statistics.median(others):.0%} of the CPUs in the median run, "
                 f"{max(others):.0%} in the worst.")
    return text


def wrapped(text):
    return textwrap.fill(text, 100)


def report(results, machine, programs):
    """The whole, as Markdown."""
    parts = [wrapped(facts(results, machine, programs))]
    if results.runs:
        parts.append(main_table(results))
    if results.runs:
        parts.append(profile_table(results))
    if any(cell.plain() != cell for cell in results.runs):
        parts.append(growth_table(results))
    if results.memory:
        parts.append(wrapped(memory_text(results.memory)))
    held = [target.row() for target in targets(results)
            if target.value is not None or not results.is_partial]
    if held:
        parts.append(table(["target", "wanted", "measured", ""], held))
    parts.append(wrapped(million_text(results)))
    parts += map(wrapped, results.notes)
    if results.failures:
        parts.append("Runs that failed, and are in no figure:")
        parts.append("\n".join(f"- {failure}" for failure in results.failures))
    return "\n\n".join(part for part in parts if part)


def write_markdown(path, text, begin=BEGIN, end=END, new_file=NEW_FILE):
    """Puts the text between the two marks in a file; makes the file where there is none."""
    try:
        with open(path, encoding="utf-8") as file:
            old = file.read()
    except FileNotFoundError:
        old = f"{new_file}\n{begin}\n{end}\n"
    if begin not in old or end not in old:
        raise SystemExit(f"{path} has no marks to write between: {begin} and {end}")
    before, rest = old.split(begin, 1)
    after = rest.split(end, 1)[1]
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{before}{begin}\n\n{text}\n\n{end}{after}")
