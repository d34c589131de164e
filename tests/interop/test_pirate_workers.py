"""Our pirate workers and queues of others, written from the protocol's text.

    GALLEON_BIN=build/asan /usr/bin/python3 tests/interop/test_pirate_workers.py [-v]
"""

import unittest

import zmq

from peers import DEADLINE
from pirate_queues import ParanoidQueue, SimpleQueue
from support import PeerTest, Program

HEARTBEAT = 250     # ms

# What is served, by what.
PIRATES = {"paranoid": (ParanoidQueue, "ppworker", ("--heartbeat", HEARTBEAT)),
           "simple": (SimpleQueue, "spworker", ())}


class PirateTest(PeerTest):
    """A queue of ours in Python, and workers that are programs."""

    def queue(self, pirate, **options):
        queue = PIRATES[pirate][0](self.context, HEARTBEAT, **options)
        self.addCleanup(self.check, queue)
        return queue

    def check(self, queue):
        queue.stop()
        self.assertEqual(queue.violations, [])

    def worker(self, pirate, queue, *arguments):
        _, name, own = PIRATES[pirate]
        worker = Program(name, "--queue", queue.backend, *own, *arguments)
        self.addCleanup(worker.kill)
        return worker

    def client(self, queue, kind=zmq.REQ, **options):
        socket = self.context.socket(kind)
        socket.linger, socket.rcvtimeo = 0, int(DEADLINE * 1000)
        for name, value in options.items():
            setattr(socket, name, value)
        socket.connect(queue.frontend)
        self.addCleanup(socket.close)
        return socket

    def ask(self, socket, *frames):
        socket.send_multipart(frames)
        return socket.recv_multipart()


class Serving(PirateTest):
    """Requests and answers."""

    def test_it_echoes_and_leaves(self):
        for pirate in PIRATES:
            with self.subTest(pirate):
                queue = self.queue(pirate)
                worker = self.worker(pirate, queue)
                client = self.client(queue)
                for number in range(20):
                    self.assertEqual(self.ask(client, b"%d" % number), [b"%d" % number])
                worker.stop()
                self.assertEqual(queue.readies, 1)

    def test_bodies_of_many_frames_and_of_none_pass(self):
        for pirate in PIRATES:
            with self.subTest(pirate):
                queue = self.queue(pirate)
                self.worker(pirate, queue)
                client = self.client(queue)
                for frames in ([b""], [b"", b""], [b"a", b"", b"b"], [b"\x01"], [b"\x02", b"\x01"],
                               [bytes(range(256))] * 20, [b"x" * 900000, b"", b"y"]):
                    self.assertEqual(self.ask(client, *frames), frames)

    def test_addresses_of_many_hops_come_back(self):
        for pirate in PIRATES:
            with self.subTest(pirate):
                queue = self.queue(pirate)
                self.worker(pirate, queue)
                client = self.client(queue, zmq.DEALER)
                for stack in ([], [b"\x00\x01"], [b"far", b"\x00" * 5, b"near"],
                              [b"%d" % hop for hop in range(7)], [b"x" * 255] * 7):
                    self.assertEqual(self.ask(client, *stack, b"", b"hello", b""),
                                     [*stack, b"", b"hello", b""])


if __name__ == "__main__":
    unittest.main()
