#!/usr/bin/env python3
"""test_titanic_pair.py - titanic behind a guarded pair of brokers, of which one is killed.

Usage: test_titanic_pair.py [--rounds N] [--seed S]

Each round kills the half that serves, starts it again, and then has the one that serves hand over,
while requests are submitted with keys. Whatever was acknowledged has its answer in the end, no key
has two ids, and none has had its effect twice at a worker with an inbox
(examples/inbox_worker.c). The pair has the fast settings: a beat of 50 ms, a lease of 200 ms.
"""

import json
import pathlib
import random
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.dont_write_bytecode = True

from durable_drill import (  # noqa: E402 (found by the line above)
    FOLDER, PATIENCE, await_line, drill, load, start, start_titanic)

ROLES = ("primary", "backup")


class Pair:
    """Two halves, and their witness; the halves keep the ports that they got at first."""

    def __init__(self, folder):
        self.folder = folder
        self.halves, self.endpoints = {}, dict.fromkeys(ROLES, "tcp://127.0.0.1:*")
        self.witness = start(FOLDER / "starwitness", "--bind", self.end("witness"), "--state",
                             folder / "witness.vote", "--pair-init", "--pair-lease", 200,
                             stderr=subprocess.PIPE)
        await_line(self.witness, r"starwitness: ready")
        for role in ROLES:
            self.start(role, "--pair-init")

    def end(self, name):
        return f"ipc://{self.folder}/{name}"

    def start(self, role, *more):
        other = ROLES[1 - ROLES.index(role)]
        half = start(FOLDER / "mdbroker", "--bind", self.endpoints[role], "--pair", role,
                     "--pair-bind", self.end(role), "--pair-peer", self.end(other), "--witness",
                     self.end("witness"), "--pair-state", self.folder / f"{role}.vote",
                     "--pair-heartbeat", 50, "--pair-lease", 200, "--heartbeat", 500,
                     "--log-level", "error", *more, stderr=subprocess.PIPE)
        self.halves[role] = half
        self.endpoints[role] = await_line(half, r"mdbroker: ready on (\S+)")[1]

    def ha(self, role, *words):
        """What one half says to a word of the operator's, or None."""
        done = subprocess.run([FOLDER / "galleon", "--broker", self.endpoints[role], "--timeout",
                               "1000", "--attempts", "1", "--json", "ha", *words],
                              capture_output=True, timeout=PATIENCE, check=False)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def state(self, role):
        said = self.ha(role, "status")
        return said[0]["state"] if said else None

    def await_active(self, *roles):
        """Waits until one of these serves; returns which."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            for role in roles:
                if self.state(role) == "ACTIVE":
                    return role
        sys.exit(f"none of {roles} serves")

    def await_state(self, role, state):
        until = time.monotonic() + PATIENCE
        while self.state(role) != state:
            if time.monotonic() > until:
                sys.exit(f"the {role} is not {state}")

    def kill(self, role):
        self.halves[role].send_signal(signal.SIGKILL)
        self.halves[role].wait(PATIENCE)
        self.halves[role].stderr.close()


def trouble(pair):
    """One round: a kill, and a planned switch."""
    active = pair.await_active(*ROLES)
    time.sleep(random.uniform(0.05, 0.5))
    pair.kill(active)
    time.sleep(random.uniform(0, 0.4))
    pair.start(active)
    # A half that is back at once may have what it held; else it is the other one that serves.
    active = pair.await_active(*ROLES)
    time.sleep(random.uniform(0.05, 0.5))
    pair.await_state(ROLES[1 - ROLES.index(active)], "PASSIVE")
    if pair.ha(active, "demote") is None:
        sys.exit("the half that serves does not hand over")
    pair.await_active(ROLES[1 - ROLES.index(active)])


def run(folder, rounds):
    pair = Pair(folder)
    brokers = ",".join(pair.endpoints.values())
    start_titanic(brokers, folder / "titanic.db")

    def have_trouble():
        for _ in range(rounds):
            trouble(pair)

    return load(folder, brokers, have_trouble)


if __name__ == "__main__":
    sys.exit(drill(run, "kills and switches", "--rounds", 4))
