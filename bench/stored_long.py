"""stored_long.py - what ten million pending requests cost, beside a thousand.

The requests are for a service without workers. They are put into the store by store_bench, as the
daemon would write them, and titanic is started on the file. Then come submits and whole durable
requests for another service, in turn with a store of a thousand; then titanic is killed while it
is busy, and started again.
"""

import contextlib
import os
import shutil
import signal
import statistics
import subprocess
import time

from rpc_report import Target, short, table, time_text, wrapped
from rpc_run import RunFailed, run_to_end, start
from stored_cells import AUDITED, DURABLE, SUBMIT, Cell
from stored_servers import start_broker, start_titanic

PENDING = 10_000_000
FEW = 1_000
FILLED_SERVICE = "echo"     # store_bench's
FILL_SECONDS = 1800
BUSY_SECONDS = 1            # before the kill
START_SECONDS_MAX = 2
MEMORY_MB_MAX = 100
RATIO_MIN = 0.8

LOADS = (Cell(SUBMIT, AUDITED, 100), Cell(DURABLE, AUDITED, 100))


class Long:
    """What came of it."""

    def __init__(self, pending):
        self.pending = pending
        self.rates = {(cell.work, count): [] for cell in LOADS for count in (FEW, pending)}
        self.starts = []            # seconds, after an orderly end
        self.starts_killed = []     # after kill -9
        self.memory_kb = []         # VmHWM at the end of each run
        self.others = []            # what anything else had of all CPUs, in each run
        self.fill_seconds = 0
        self.file_bytes = 0

    def ratio(self, work):
        pairs = zip(self.rates[work, self.pending], self.rates[work, FEW])
        return statistics.median(many / few for many, few in pairs)

    def parts(self):
        rows = []
        for cell in LOADS:
            few, many = (statistics.median(self.rates[cell.work, count])
                         for count in (FEW, self.pending))
            rows.append([cell.work, f"{self.ratio(cell.work):.2f}", short(many), short(few)])
        head = [f"window 100, 100 B, with {self.pending:,} requests pending",
                f"of the same with {FEW:,}", "each second", f"with {FEW:,}"]
        starts, killed = ([time_text(1e6 * one) for one in times]
                          for times in (self.starts, self.starts_killed))
        return [table(head, rows),
                wrapped(f"Start-up on that store ({self.file_bytes / 1e9:.1f} GB, filled in "
                f"{self.fill_seconds:.0f} s): {', '.join(starts)}; after kill -9: "
                f"{', '.join(killed)}. "
                f"Memory at most {max(self.memory_kb) / 1024:.1f} MB.")]

    def targets(self):
        many = f"{self.pending:,} pending"
        for cell in LOADS:
            yield Target(f"{cell.work} with {many}, of the same with {FEW:,}", RATIO_MIN, False,
                         self.ratio(cell.work))
        yield Target(f"start-up with {many}, the slowest", START_SECONDS_MAX, True,
                     max(self.starts), " s")
        yield Target("the same after kill -9", START_SECONDS_MAX, True, max(self.starts_killed),
                     " s")
        yield Target(f"memory with {many}, the most there was", MEMORY_MB_MAX, True,
                     max(self.memory_kb) / 1024, " MB")


# ---- The parts ----------------------------------------------------------------------------------


def fill(bench, count):
    """Makes a store with so many pending requests, and gives its path."""
    path = os.path.join(bench.disk.fresh("long"), "titanic.db")
    command = [bench.programs.store_bench, "--path", path, "--pending", str(count), "--audit",
               "--keep"]
    made = subprocess.run(command, capture_output=True, text=True, timeout=FILL_SECONDS,
                          check=False)
    if made.returncode != 0:
        raise RunFailed(f"store_bench: {made.stderr.strip()}")
    os.sync()           # what is still written back of it would share the disk with the load
    return path


def memory_peak_kb(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM:"))


@contextlib.contextmanager
def timed_titanic(bench, broker, path, seconds_out):
    """A titanic on this store; the time from its start until it serves is added to the list."""
    began = time.monotonic()
    with start_titanic(bench.programs, bench.cpus, broker.endpoints[0], path) as titanic:
        seconds_out.append(time.monotonic() - began)
        yield titanic


def pending_of(bench, broker):
    return bench.stats(broker).get((FILLED_SERVICE, "pending"), 0)


def run_loads(bench, path, count, long):
    """Both loads on one store."""
    for cell in LOADS:
        starts = long.starts if count == long.pending else []
        with start_broker(bench.programs, bench.cpus) as broker:
            with timed_titanic(bench, broker, path, starts) as titanic:
                if pending_of(bench, broker) != count:
                    raise RunFailed(f"of {count} requests, {pending_of(bench, broker)} are there")
                figures = bench.run_against_titanic(cell, broker, titanic,
                                                    ["--seconds", str(bench.seconds)])
                long.rates[cell.work, count].append(figures["rate"])
                long.others.append(figures["others"])
                if count == long.pending:
                    long.memory_kb.append(memory_peak_kb(titanic.process.pid))


def kill_when_busy(bench, path, long):
    """kill -9 in the middle of a load, and the time of the next start."""
    with start_broker(bench.programs, bench.cpus) as broker:
        with timed_titanic(bench, broker, path, long.starts) as titanic:
            command = bench.galleon(broker, "bench", "submit", LOADS[0].service(), "--window",
                                    "100", "--seconds", "60")
            load = start(command, bench.cpus, stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL)
            try:
                time.sleep(BUSY_SECONDS)
                titanic.process.send_signal(signal.SIGKILL)
                titanic.process.wait()
            finally:
                load.kill()
                load.wait()
    with start_broker(bench.programs, bench.cpus) as broker:
        with timed_titanic(bench, broker, path, long.starts_killed) as titanic:
            if pending_of(bench, broker) != long.pending:
                raise RunFailed(f"after kill -9, of {long.pending} requests "
                                f"{pending_of(bench, broker)} are there")
            code, _, err = run_to_end(bench.galleon(broker, "submit", LOADS[0].service(),
                                                    "hello"), bench.cpus, bench.seconds)
            if code != 0:
                raise RunFailed(f"a submit after kill -9: {err.strip()}")
            long.memory_kb.append(memory_peak_kb(titanic.process.pid))


def run(bench, arguments, say):
    """All of it. The store of a thousand is made anew for each repeat, as the loads fill it."""
    long = Long(arguments.pending)
    say(f"filling a store with {long.pending:,} requests")
    began = time.monotonic()
    path = fill(bench, long.pending)
    long.fill_seconds = time.monotonic() - began
    long.file_bytes = os.path.getsize(path)
    for repeat in range(arguments.repeats):
        say(f"repeat {repeat + 1} of {arguments.repeats}: {long.pending:,} pending")
        few = fill(bench, FEW)
        run_loads(bench, few, FEW, long)
        shutil.rmtree(os.path.dirname(few))
        run_loads(bench, path, long.pending, long)
        kill_when_busy(bench, path, long)
    say("")
    shutil.rmtree(os.path.dirname(path))
    return long
