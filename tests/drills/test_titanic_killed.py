#!/usr/bin/env python3
"""test_titanic_killed.py - titanic is killed again and again while requests come in.

Usage: test_titanic_killed.py [--cycles N] [--seed S]

Whatever it has acknowledged has its answer in the end, and no key has had its effect twice at a
worker with an inbox (examples/inbox_worker.c). The page cache survives a kill, so this is about
processes; power cuts are tests/store/crash_main.c.
"""

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


def run(folder, cycles):
    broker = start(FOLDER / "mdbroker", "--bind", "tcp://127.0.0.1:*", "--heartbeat", "500",
                   "--log-level", "error", stderr=subprocess.PIPE)
    endpoint = await_line(broker, r"mdbroker: ready on (\S+)")[1]
    titanic = start_titanic(endpoint, folder / "titanic.db")

    def kill_it_again_and_again():
        nonlocal titanic
        for _ in range(cycles):
            time.sleep(random.uniform(0.02, 0.5))
            titanic.send_signal(signal.SIGKILL)
            titanic.wait(PATIENCE)
            titanic.stderr.close()
            titanic = start_titanic(endpoint, folder / "titanic.db")

    return load(folder, endpoint, kill_it_again_and_again)


if __name__ == "__main__":
    sys.exit(drill(run, "kills", "--cycles", 30))
