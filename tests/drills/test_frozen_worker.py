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
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = pathlib.Path(os.environ.get("GALLEON_BIN") or ROOT / "build" / "asan")
PATIENCE = 60           # seconds
NOTICED = 8             # seconds: 3 of silence, two heartbeats, and more than enough
LIMIT = 5               # seconds that a worker may take, where there is a limit

# A worker of 7/MDP that is not ours: its socket sends no heartbeats of ZMTP.
FOREIGN = """
import pathlib, sys, time, zmq
endpoint, path = sys.argv[1:]
socket = zmq.Context().socket(zmq.DEALER)
socket.connect(endpoint)
socket.send_multipart([b"", b"MDPW01", b"\\x01", b"work"])
while True:
    if socket.poll(200):
        if socket.recv_multipart()[2] == b"\\x02":
            pathlib.Path(path).touch()
            time.sleep(600)
    else:
        socket.send_multipart([b"", b"MDPW01", b"\\x04"])
"""


class FrozenWorker(unittest.TestCase):

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)

    def start_broker(self, *options):
        broker = self.start(FOLDER / "mdbroker", "--bind", "tcp://127.0.0.1:*", "--heartbeat",
                            "500", *options, stderr=subprocess.PIPE)
        self.addCleanup(broker.stderr.close)
        self.endpoint = re.match(r"mdbroker: ready on (\S+)", broker.stderr.readline())[1]

    def start(self, program, *arguments, **options):
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", str(program), *arguments],
            stdin=subprocess.DEVNULL, text=True, **options)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def start_worker(self, name, seconds=0.1):
        """One that says in a file that it has begun, and takes its time."""
        return self.start(FOLDER / "mdworker", "--broker", self.endpoint, "--heartbeat", "500", "work", "--",
                          "sh", "-c", f"touch {self.folder / name}; sleep {seconds}; echo {name}")

    def start_client(self):
        client = self.start(FOLDER / "mdclient", "--broker", self.endpoint, "--attempts", "1", "--timeout",
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
        self.start_broker()
        victim = self.start_worker("victim")
        client = self.start_client()
        self.await_file("victim")
        victim.send_signal(signal.SIGSTOP)
        self.start_worker("other")
        self.assert_answered_by(client, "other")

    def test_frozen_worker_that_is_not_ours_is_noticed_by_the_limit_alone(self):
        self.start_broker("--service", f"work,limit={LIMIT * 1000}")
        victim = self.start(sys.executable, "-c", FOREIGN, self.endpoint,
                            str(self.folder / "victim"))
        began = time.monotonic()
        client = self.start_client()
        self.await_file("victim")
        victim.send_signal(signal.SIGSTOP)
        self.start_worker("other")
        self.assert_answered_by(client, "other")
        self.assertGreaterEqual(time.monotonic() - began, LIMIT)

    def test_worker_that_works_for_long_is_not_taken_for_a_frozen_one(self):
        self.start_broker()
        self.start_worker("busy", seconds=5)
        client = self.start_client()
        self.await_file("busy")
        self.start_worker("idle")
        self.assert_answered_by(client, "busy")
        self.assertFalse((self.folder / "idle").exists())


if __name__ == "__main__":
    unittest.main()
