"""What the interop tests share: test cases that end all they started, and programs as processes.

The programs are looked for in the directory that GALLEON_BIN names, else in build/asan,
build/debug and build/release, wherever mdbroker is found first.
"""

import os
import pathlib
import re
import signal
import subprocess
import threading
import time
import unittest

import zmq

from peers import (CORRELATE, DEADLINE, Client01, Client02, ClientG1, Serving, Worker01, Worker02,
                   WorkerG1, echo)

ROOT = pathlib.Path(__file__).resolve().parents[2]


def program(name):
    """Return the path of one of our programs."""
    given = os.environ.get("GALLEON_BIN")
    builds = [pathlib.Path(given)] if given else [ROOT / "build" / preset
                                                  for preset in ("asan", "debug", "release")]
    places = ("", "bin", "brokers", "workers", "clients")
    for build in builds:
        if any((build / place / "mdbroker").is_file() for place in places):
            for place in places:
                if (build / place / name).is_file():
                    return str(build / place / name)
    raise FileNotFoundError(f"no {name} in {', '.join(map(str, builds))}: "
                            "build first, or say where it is in GALLEON_BIN")


class Program:
    """One of our programs, running. Its output is read all the time, so that it never blocks.

    It is ended with the test, and by the kernel if the test is killed.
    """

    def __init__(self, name, *arguments, stdin=None):
        self.name = name
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", program(name), *map(str, arguments)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True)
        self.output, self.errors = [], []
        self.changed = threading.Condition()
        self.readers = [self.read(self.process.stdout, self.output),
                        self.read(self.process.stderr, self.errors)]
        if stdin is not None:
            self.process.stdin.write(stdin)
        self.process.stdin.close()

    def read(self, pipe, lines):
        def run():
            with pipe:
                for line in pipe:
                    with self.changed:
                        lines.append(line)
                        self.changed.notify_all()
        reader = threading.Thread(target=run, daemon=True)
        reader.start()
        return reader

    def error_text(self):
        return b"".join(self.errors).decode(errors="replace")

    def ready(self):
        """Wait for the line that says it serves; return the endpoint in it."""
        pattern = re.compile(rb"%s: ready on (\S+)" % self.name.encode())
        with self.changed:
            found = self.changed.wait_for(
                lambda: (next(filter(None, map(pattern.match, self.errors)), None)
                         or self.process.poll() is not None), DEADLINE)
        if not isinstance(found, re.Match):
            self.kill()
            raise AssertionError(f"{self.name} is not ready:\n{self.error_text()}")
        return found[1].decode()

    def signal(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)

    def wait(self, timeout=DEADLINE):
        """Wait for its end and return the exit code."""
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} does not end:\n{self.error_text()}") from None
        for reader in self.readers:
            reader.join(DEADLINE)
        return self.process.returncode

    def stop(self):
        """End a daemon in order. Anything but exit code 0 is a failure; so is a leak under ASan."""
        self.signal()
        code = self.wait()
        if code != 0:
            raise AssertionError(f"{self.name} ended with {code}:\n{self.error_text()}")

    def kill(self):
        """End it at once, with any process it started. Harmless after its end."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)     # a session of its own, so its group
            self.process.wait()


def run(name, *arguments, stdin=None):
    """Run a program to its end: (exit code, what it printed, its errors as text)."""
    started = Program(name, *arguments, stdin=stdin)
    try:
        code = started.wait()
    finally:
        started.kill()
    return code, b"".join(started.output), started.error_text()


# Every way to be a client or a worker, by the name that a test's output shows.
CLIENTS = {
    "0.1": (Client01, {"kind": zmq.REQ}),
    "0.1 correlated": (Client01, {"kind": zmq.REQ, **CORRELATE}),
    "0.1 dealer": (Client01, {"delimiter": True}),
    "0.2": (Client02, {}),
    "0.2 with delimiter": (Client02, {"kind": zmq.REQ}),
    "g1": (ClientG1, {}),
    "g1 with delimiter": (ClientG1, {"delimiter": True}),
    "g1 correlated": (ClientG1, {"kind": zmq.REQ, **CORRELATE}),
}

WORKERS = {
    "0.1": (Worker01, {}),
    "0.2": (Worker02, {}),
    "0.2 with delimiter": (Worker02, {"delimiter": True}),
    "g1": (WorkerG1, {"credit": 4}),
    "g1 with delimiter": (WorkerG1, {"delimiter": True}),
}


class PeerTest(unittest.TestCase):
    """A context for each test; what was made last is ended first, whatever happens."""

    def setUp(self):
        self.context = zmq.Context()
        self.addCleanup(self.context.destroy, 0)

    def until(self, condition, what="it"):
        """Ask until condition() holds. For what no event tells: never to let time pass."""
        deadline = time.monotonic() + DEADLINE
        while not (found := condition()):
            if time.monotonic() > deadline:
                self.fail(f"{what} did not happen in time")
            time.sleep(0.01)
        return found

    def kept(self, peer):
        """Close this client when the test ends."""
        self.addCleanup(peer.close)
        return peer

    def start(self, what, end="stop"):
        """Keep what was started, and end it with the test."""
        self.addCleanup(getattr(what, end))
        return what

    def client(self, name, endpoint):
        kind, options = CLIENTS[name]
        return self.kept(kind(self.context, endpoint, **options))

    def worker(self, name, endpoint, service, **more):
        """Return a worker that this test drives by hand; it vanishes with the test."""
        kind, options = WORKERS[name]
        return self.start(kind(self.context, endpoint, service, **{**options, **more}), "vanish")

    def serve(self, name, endpoint, service, handler=echo, **more):
        """Start a worker in a thread."""
        kind, options = WORKERS[name]
        worker = kind(self.context, endpoint, service, **{**options, **more})
        return self.start(Serving(worker, handler))
