"""ppqueue and spqueue against peers written from the protocol: who gets what, and what survives.

    GALLEON_BIN=build/asan /usr/bin/python3 tests/interop/test_pirates.py [-v]
"""

import re
import unittest

import zmq

from peers import Proxy
from pirates import (ParanoidServing, ParanoidWorker, PirateClient, SimpleServing, SimpleWorker)
from support import PeerTest, Program

INTERVAL = 200      # ms


class QueueTest(PeerTest):
    """A queue of its own for each test."""

    program = None

    def begin(self, *arguments, frontend="tcp://127.0.0.1:*", backend="tcp://127.0.0.1:*"):
        """Start a queue; its endpoints are self.frontend and self.backend from then on."""
        self.queue = Program(self.program, "--frontend", frontend, "--backend", backend,
                             "--log-level", "info", *self.options, *arguments)
        self.addCleanup(self.queue.kill)
        self.frontend = self.bound(self.queue, "clients")
        self.backend = self.bound(self.queue, "workers")

    def bound(self, queue, whom):
        pattern = re.compile(r"^%s: ready on (\S+) for %s$" % (self.program, whom), re.MULTILINE)
        return self.until(lambda: pattern.search(queue.error_text()), f"ready for {whom}")[1]

    def lines(self, code):
        return len(re.findall(r"^\w+ %s\b" % code, self.queue.error_text(), re.MULTILINE))

    def wait_for(self, code, count=1):
        self.until(lambda: self.lines(code) >= count, code)

    def client(self, **options):
        return self.kept(PirateClient(self.context, self.frontend, **options))

    def worker(self, **options):
        """A worker driven by hand, which the queue has heard of."""
        count = self.lines("PIRATE-WORKER-REGISTERED")
        worker = self.start(self.by_hand(self.context, self.backend, **options), "vanish")
        self.wait_for("PIRATE-WORKER-REGISTERED", count + 1)
        return worker


class Either:
    """What both queues do."""

    def test_a_request_goes_to_a_worker_and_its_reply_to_the_client(self):
        self.begin()
        client, worker = self.client(), self.worker()
        client.send(b"Hi")
        job = worker.take()
        self.assertEqual(job.body, [b"Hi"])
        self.assertRegex(job.stack[0].decode(), "^[0-9A-Za-z]{24}$")
        self.assertEqual(len(job.stack), 1)
        worker.reply(job, b"Ho")
        self.assertEqual(client.receive(), [b"Ho"])
        self.queue.stop()

    def test_a_served_client_gets_its_own_replies(self):
        self.begin()
        serving = [self.serve() for _ in range(3)]
        clients = [self.client() for _ in range(5)]
        for turn in range(20):
            for number, client in enumerate(clients):
                client.send(b"%d.%d" % (number, turn))
            for number, client in enumerate(clients):
                self.assertEqual(client.receive(), [b"%d.%d" % (number, turn)])
        self.assertEqual(sum(one.served for one in serving), 100)
        self.queue.stop()


class Paranoid(QueueTest, Either):
    program, by_hand = "ppqueue", ParanoidWorker
    options = ("--heartbeat", INTERVAL)

    def serve(self, *handler):
        return self.start(ParanoidServing(self.context, self.backend, *handler,
                                          interval=INTERVAL / 1000))


class Simple(QueueTest, Either):
    program, by_hand = "spqueue", SimpleWorker
    options = ()

    def serve(self, *handler):
        return self.start(SimpleServing(self.context, self.backend, *handler))


if __name__ == "__main__":
    unittest.main()
