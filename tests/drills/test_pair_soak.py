#!/usr/bin/env python3
"""test_pair_soak.py - does a pair leave who serves alone while all processors are busy?

A witness, two halves, a worker and a client that asks all the time, and beside them for each
processor a process that does nothing but be busy. Nobody fails, so nobody may take over.

Usage: test_pair_soak.py [--seconds N] [--fast]; the programs are taken from GALLEON_BIN, else
build/asan.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = pathlib.Path(os.environ.get("GALLEON_BIN") or ROOT / "build" / "asan")
HALVES = ("primary", "backup")
PATIENCE = 60           # seconds, until a pair has begun
BUSY = "while True: pass"


class Pair:
    """The processes, all of which end with us."""

    def __init__(self, folder, options):
        self.folder = folder
        self.options = options
        self.processes = {}

    def start(self, name, *line):
        log = open(self.folder / f"{name}.log", "wb")
        self.processes[name] = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *map(str, line)], stdin=subprocess.DEVNULL,
            stdout=log, stderr=subprocess.STDOUT)
        log.close()

    def said(self, name):
        return (self.folder / f"{name}.log").read_text()

    def endpoint(self, name):
        return f"ipc://{self.folder}/{name}"

    def brokers(self):
        return ",".join(self.endpoint(half) for half in HALVES)

    def open(self):
        lease = [option for option in self.options if "lease" in option]
        self.start("witness", FOLDER / "starwitness", "--bind", self.endpoint("witness"), "--state",
                   self.folder / "witness-vote", "--pair-init", *lease)
        for half, other in zip(HALVES, reversed(HALVES)):
            self.start(half, FOLDER / "mdbroker", "--bind", self.endpoint(half), "--pair", half,
                       "--pair-bind", self.endpoint(f"{half}-pair"),
                       "--pair-peer", self.endpoint(f"{other}-pair"),
                       "--witness", self.endpoint("witness"),
                       "--pair-state", self.folder / f"{half}-vote", "--pair-init", *self.options)
        self.start("worker", FOLDER / "mdworker", "--broker", self.brokers(), "echo")

    def status(self):
        """What the halves say of themselves; None where one does not."""
        run = subprocess.run([FOLDER / "galleon", "--json", "--broker", self.brokers(), "ha",
                              "status"], capture_output=True, text=True, check=False)
        return json.loads(run.stdout) if run.returncode == 0 else None

    def settled(self):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            found = self.status()
            if found and sorted(half["state"] for half in found) == ["ACTIVE", "PASSIVE"]:
                return found
            time.sleep(0.05)
        return sys.exit(f"the pair did not begin: {found}")

    def close(self):
        for process in reversed(self.processes.values()):
            process.kill()
            process.wait()


def soak(pair, seconds):
    pair.open()
    before = pair.settled()
    for at in range(os.cpu_count() or 1):
        pair.start(f"busy-{at}", sys.executable, "-c", BUSY)
    bench = subprocess.run(
        [FOLDER / "galleon", "--json", "--broker", pair.brokers(), "--window", "4", "--seconds",
         str(seconds), "bench", "call", "echo"], capture_output=True, text=True, check=False)
    if bench.returncode != 0:
        return f"the client: {bench.stdout}{bench.stderr}"
    after = pair.settled()
    for was, now in zip(before, after):
        if (was["state"], was["epoch"]) != (now["state"], now["epoch"]):
            return f"a failover, and nobody has failed: {was} became {now}"
    lines = [line for half in HALVES for line in pair.said(half).splitlines() if "is=ACTIVE" in line]
    if len(lines) != 1:
        return f"reigns: {lines}"
    print(f"{seconds} s, {json.loads(bench.stdout)['answers']} calls, gaps "
          f"{[half['gaps'] for half in after]}, no failover")
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--fast", action="store_true")
    arguments = parser.parse_args()
    options = ["--pair-heartbeat=50", "--pair-lease=200"] if arguments.fast else []
    with tempfile.TemporaryDirectory(prefix="galleon-soak-") as folder:
        pair = Pair(pathlib.Path(folder), options)
        try:
            why = soak(pair, arguments.seconds)
        finally:
            pair.close()
        if why:
            for half in HALVES:
                print(f"-- {half}\n{pair.said(half)[-4000:]}")
            sys.exit(why)


if __name__ == "__main__":
    main()
