"""What the interop tests share: programs as processes, and test cases that end all they started.

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
from collections import deque

import zmq

from peers import (CLIENT_01, CLIENT_G1, CORRELATE, DEADLINE, Client01, Client02, ClientG1, Link,
                   Record, Serving, Worker01, Worker02, WorkerG1, decode_pack, echo, encode_pack)

ROOT = pathlib.Path(__file__).resolve().parents[2]

HEARTBEAT = 250             # ms, of the broker and of all workers
WINDOW = 900                # requests of one client in flight: below the broker's send queue (1088)


def program(name):
    """Return the path of one of our programs."""
    given = os.environ.get("GALLEON_BIN")
    builds = [pathlib.Path(given)] if given else [ROOT / "build" / preset
                                                  for preset in ("asan", "debug", "release")]
    places = ("", "bin", "brokers", "workers", "clients", "tests")
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


class BrokerTest(PeerTest):
    """Tests of one mdbroker."""

    arguments = ()

    @classmethod
    def setUpClass(cls):
        cls.broker = Program("mdbroker", "--bind", "tcp://127.0.0.1:*", "--heartbeat", HEARTBEAT,
                             *cls.arguments)
        cls.addClassCleanup(cls.broker.stop)
        cls.endpoint = cls.broker.ready()

    def setUp(self):
        super().setUp()
        self.asking = self.client("g1")

    def name(self, *more):
        """Return a service name that no other test uses."""
        return ".".join([self.id().rpartition(".")[2], *more]).replace(" ", "-").encode()

    def client(self, name, endpoint=None):
        return super().client(name, endpoint or self.endpoint)

    def worker(self, name, service, **more):
        return super().worker(name, self.endpoint, service, **more)

    def serve(self, name, service, *handler, **more):
        serving = super().serve(name, self.endpoint, service, *handler, **more)
        self.wait_for_service(service)
        return serving

    def mmi(self, name, *body):
        answer = self.asking.call(b"mmi." + name, list(body))
        self.assertEqual(answer.status, 200)
        return answer.body

    def table(self, name, *body):
        """Return the rows of an MMI table as a list of dictionaries."""
        code, text = self.mmi(name, *body)
        self.assertEqual(code, b"200")
        self.assertTrue(text.endswith(b"\n"))
        first, *rest = [line.split("\t") for line in text.decode().splitlines()]
        return [dict(zip(first, row, strict=True)) for row in rest]

    def service_row(self, service):
        """Return the counts that mmi.services shows, all zero where it has no row."""
        for row in self.table(b"services"):
            if row["service"] == service.decode():
                return {key: int(value) for key, value in row.items() if key != "service"}
        return {"workers": 0, "idle": 0, "queued": 0, "out": 0}

    @staticmethod
    def one_at_a_time(worker):
        """Return the option that keeps this kind of worker to one request."""
        return {"credit": 1} if worker.startswith("g1") else {}

    def in_packs(self, client, service, number):
        """Send so many requests, a window of them at a time, and return the answers' bodies."""
        ids, found = deque(), []
        for at in range(number):
            ids.append(client.request(service, [b"%d" % at]))
            if len(ids) == WINDOW:
                found.append(client.answer(ids.popleft()).body)
        return found + [client.answer(request).body for request in ids]

    def is_registered(self, service):
        return {b"200": True, b"404": False}[self.mmi(b"service", service)[0]]

    def wait_for_service(self, service, registered=True):
        self.until(lambda: self.is_registered(service) == registered,
                   f"{service} {'' if registered else 'not '}registered")

    def wait_for_row(self, service, **wanted):
        self.until(lambda: wanted.items() <= self.service_row(service).items(),
                   f"{service} with {wanted}")


class Raw:
    """A DEALER without manners: any frames, and what came until the broker had read them."""

    def __init__(self, test):
        self.link = test.kept(Link(test.context, zmq.DEALER, test.endpoint))
        self.link.socket.linger = 0
        self.rounds = 0

    def send(self, *frames):
        self.link.send(list(frames))

    def receive(self):
        return self.link.receive()

    def settle(self):
        """Return all that the broker had to say to what was sent so far.

        A ping in 0.1 and one in G1, because what is packed may leave after what is not.
        """
        found = []
        ping = [b"", CLIENT_01, b"mmi.ping"]
        self.send(*ping, b"settle")
        while (frames := self.receive()) != [*ping, b"200", b"settle"]:
            found.append(frames)
        self.rounds += 1
        ping = Record("request", id=2 ** 63 + self.rounds, service=b"mmi.ping")
        self.send(*encode_pack(CLIENT_G1, [ping]))
        while True:
            frames = self.receive()
            records = decode_pack(frames)[1] if frames[0][:6] == CLIENT_G1 else []
            if ping.id not in [record.id for record in records]:
                found.append(frames)
                continue
            if len(records) > 1:        # it shares its pack with something else
                found.append(encode_pack(CLIENT_G1, [record for record in records
                                                     if record.id != ping.id]))
            return found
