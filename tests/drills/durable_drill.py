"""durable_drill.py - a checked load of durable requests, and what each of them came to.

Titanic, an inbox worker (examples/inbox_worker.c) and durable_load, started and ended here. What
goes wrong meanwhile is the business of whoever uses it.
"""

import argparse
import os
import pathlib
import random
import re
import sqlite3
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = pathlib.Path(os.environ.get("GALLEON_BIN") or ROOT / "build" / "release")
PATIENCE = 60           # seconds

processes = []


def start(path, *arguments, **options):
    process = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", str(path), *map(str, arguments)], text=True,
        **{"stdin": subprocess.DEVNULL, **options})
    processes.append(process)
    return process


def await_line(process, pattern):
    """Waits for a line on its standard error; what it logged before is shown where it ends."""
    lines = []
    for line in process.stderr:
        lines.append(line)
        match = re.match(pattern, line)
        if match:
            return match
    sys.exit("it ended: " + "".join(lines))


def start_titanic(broker, store):
    titanic = start(FOLDER / "titanic", "--broker", broker, "--store", f"sqlite:{store}",
                    "--retry-min", "50", "--retry-max", "500", "--timeout", "5000",
                    "--free-min", "1000000", "--log-level", "error", stderr=subprocess.PIPE)
    await_line(titanic, r"titanic: ready")
    return titanic


def load(folder, brokers, trouble):
    """Submits while there is trouble; the code and the words of durable_load."""
    start(FOLDER / "tests" / "inbox_worker", brokers, "work", folder / "inbox.db")
    process = start(FOLDER / "tests" / "durable_load", brokers, "work", stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE)
    trouble()
    process.stdin.close()
    output = process.stdout.read()
    return process.wait(PATIENCE), output.strip()


def effects(folder):
    """How many keys had an effect, and how many had it more than once."""
    with sqlite3.connect(folder / "inbox.db") as inbox:
        return inbox.execute("SELECT count(*), count(*) FILTER (WHERE times > 1) "
                             "FROM effect").fetchone()


def end_all():
    for process in reversed(processes):
        process.kill()
        process.wait()


def drill(run, what, option, times):
    """Runs run(folder, times), and says what came of it. The exit code: did all that was
    acknowledged happen, and once?"""
    parser = argparse.ArgumentParser()
    parser.add_argument(option, type=int, default=times, dest="times")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1000000)
    options = parser.parse_args()
    random.seed(options.seed)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        try:
            code, output = run(pathlib.Path(folder), options.times)
            done, twice = effects(pathlib.Path(folder))
        finally:
            end_all()
    print(f"{options.times} {what} (seed {options.seed}): {output}, {done} effects, {twice} twice, "
          f"{time.monotonic() - began:.1f} s")
    acknowledged = int(re.match(r"(\d+)", output)[1]) if output else -1
    return 0 if code == 0 and twice == 0 and done == acknowledged else 1
