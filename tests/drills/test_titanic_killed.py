#!/usr/bin/env python3
"""test_titanic_killed.py - titanic is killed again and again while requests come in.

Usage: test_titanic_killed.py [--cycles N] [--seed S]

Whatever it has acknowledged has its answer in the end, and no key has had its effect twice at a
worker with an inbox (examples/inbox_worker.c). The page cache survives a kill, so this is about
processes; power cuts are tests/store/crash_main.c.
"""

import argparse
import os
import pathlib
import random
import re
import signal
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


def run(folder, cycles):
    broker = start(FOLDER / "mdbroker", "--bind", "tcp://127.0.0.1:*", "--heartbeat", "500",
                   "--log-level", "error", stderr=subprocess.PIPE)
    endpoint = await_line(broker, r"mdbroker: ready on (\S+)")[1]
    start(FOLDER / "tests" / "inbox_worker", endpoint, "work", folder / "inbox.db")
    titanic = start_titanic(endpoint, folder / "titanic.db")
    load = start(FOLDER / "tests" / "durable_load", endpoint, "work", stdin=subprocess.PIPE,
                 stdout=subprocess.PIPE)
    for _ in range(cycles):
        time.sleep(random.uniform(0.02, 0.5))
        titanic.send_signal(signal.SIGKILL)
        titanic.wait(PATIENCE)
        titanic.stderr.close()
        titanic = start_titanic(endpoint, folder / "titanic.db")
    load.stdin.close()
    output = load.stdout.read()
    return load.wait(PATIENCE), output.strip()


def effects(folder):
    """How many keys had an effect, and how many had it more than once."""
    with sqlite3.connect(folder / "inbox.db") as inbox:
        return inbox.execute("SELECT count(*), count(*) FILTER (WHERE times > 1) "
                             "FROM effect").fetchone()


def check(code, output, done, twice):
    """The exit code: did all that was acknowledged happen, and once?"""
    acknowledged = int(re.match(r"(\d+)", output)[1]) if output else -1
    return 0 if code == 0 and twice == 0 and done == acknowledged else 1


def end_all():
    for process in reversed(processes):
        process.kill()
        process.wait()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cycles", type=int, default=30)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1000000)
    options = parser.parse_args()
    random.seed(options.seed)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        try:
            code, output = run(pathlib.Path(folder), options.cycles)
            done, twice = effects(pathlib.Path(folder))
        finally:
            end_all()
    print(f"{options.cycles} kills (seed {options.seed}): {output}, {done} effects, {twice} twice, "
          f"{time.monotonic() - began:.1f} s")
    return check(code, output, done, twice)


if __name__ == "__main__":
    sys.exit(main())
