#!/usr/bin/env python3
"""test_frozen_worker.py - an mdworker that is stopped the moment it has a request.

Its kernel goes on taking what the broker sends, and no PING of its link has come since its last
message, so that libzmq has no TTL to end the connection by.
"""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = pathlib.Path(os.environ.get("GALLEON_BIN") or ROOT / "build" / "asan")
PATIENCE = 60           # seconds
NOTICED = 8             # seconds: 3 of silence, two heartbeats, and more than enough


class FrozenWorker(unittest.TestCase):

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        broker = self.start("mdbroker", "--bind", "tcp://127.0.0.1:*", "--heartbeat", "500",
                            stderr=subprocess.PIPE)
        self.addCleanup(broker.stderr.close)
        self.endpoint = re.match(r"mdbroker: ready on (\S+)", broker.stderr.readline())[1]

    def start(self, name, *arguments, **options):
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", str(FOLDER / name), *arguments],
            stdin=subprocess.DEVNULL, text=True, **options)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def start_worker(self, name, seconds=0.1):
        """One that says in a file that it has begun, and takes its time."""
        return self.start("mdworker", "--broker", self.endpoint, "--heartbeat", "500", "work", "--",
                          "sh", "-c", f"touch {self.folder / name}; sleep {seconds}; echo {name}")

    def start_client(self):
        client = self.start("mdclient", "--broker", self.endpoint, "--attempts", "1", "--timeout",
                            str(NOTICED * 1000), "work", stdout=subprocess.PIPE)
        self.addCleanup(client.stdout.close)
        return client

    def assert_answered_by(self, client, name):
        client.wait(PATIENCE)
        self.assertEqual((client.returncode, client.stdout.read().strip()), (0, name))

    def await_file(self, name):
        deadline = time.monotonic() + PATIENCE
        while not (self.folder / name).exists():
            self.assertLess(time.monotonic(), deadline, f"{name} has not begun")
            time.sleep(0.001)

    def test_worker_frozen_as_soon_as_it_works_is_noticed(self):
        victim = self.start_worker("victim")
        client = self.start_client()
        self.await_file("victim")
        victim.send_signal(signal.SIGSTOP)
        self.start_worker("other")
        self.assert_answered_by(client, "other")

    def test_worker_that_works_for_long_is_not_taken_for_a_frozen_one(self):
        self.start_worker("busy", seconds=5)
        client = self.start_client()
        self.await_file("busy")
        self.start_worker("idle")
        self.assert_answered_by(client, "busy")
        self.assertFalse((self.folder / "idle").exists())


if __name__ == "__main__":
    unittest.main()
