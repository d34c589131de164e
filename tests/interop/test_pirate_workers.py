"""Our pirate workers at queues of others, written from the protocol's text, and at ours.

    GALLEON_BIN=build/asan /usr/bin/python3 tests/interop/test_pirate_workers.py [-v]
"""

import os
import pathlib
import re
import signal
import tempfile
import unittest

import zmq

from peers import DEADLINE
from pirate_queues import ParanoidQueue, SimpleQueue
from pirates import ParanoidServing, PirateClient, SimpleServing
from support import PeerTest, Program, run

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


class Trouble(PirateTest):
    """What goes wrong at a queue of others."""

    def test_a_queue_that_is_restarted_is_served_again(self):
        for pirate in PIRATES:
            with self.subTest(pirate):
                queue = self.queue(pirate)
                self.worker(pirate, queue)
                for _ in range(3):
                    self.assertEqual(self.ask(self.client(queue), b"hello"), [b"hello"])
                    queue.stop()
                    queue = self.queue(pirate, backend=queue.backend)
                self.assertEqual(self.ask(self.client(queue), b"hello"), [b"hello"])

    def test_a_queue_that_falls_silent_is_taken_for_dead(self):
        queue = self.queue("paranoid")
        self.worker("paranoid", queue)
        self.assertEqual(self.ask(self.client(queue), b"hello"), [b"hello"])
        queue.wait_until(lambda queue: queue.beats >= 2)
        self.assertEqual(queue.readies, 1)
        queue.is_mute = True
        queue.wait_until(lambda queue: queue.readies >= 2)
        queue.is_mute = False
        # Until then the Guide's gives requests to a connection that is no more.
        queue.wait_until(lambda queue: queue.lost >= 1)
        self.assertEqual(self.ask(self.client(queue), b"hello"), [b"hello"])

    def test_a_worker_that_was_frozen_comes_back(self):
        queue = self.queue("paranoid")
        worker = self.worker("paranoid", queue)
        queue.wait_until(lambda queue: queue.readies == 1)
        worker.signal(signal.SIGSTOP)
        queue.wait_until(lambda queue: queue.lost == 1)
        worker.signal(signal.SIGCONT)
        self.assertEqual(self.ask(self.client(queue), b"hello"), [b"hello"])

    def test_several_workers_share_the_work(self):
        for pirate in PIRATES:
            with self.subTest(pirate):
                queue = self.queue(pirate)
                for _ in range(2):
                    self.worker(pirate, queue, "--threads", 4)
                queue.wait_until(lambda queue: queue.readies == 8)
                clients = [self.client(queue) for _ in range(12)]
                for number in range(20):
                    for client in clients:
                        client.send(b"%d" % number)
                    for client in clients:
                        self.assertEqual(client.recv(), b"%d" % number)
                self.assertEqual(queue.readies, 8)


class Commands(PirateTest):
    """A command for each request, and how the program leaves."""

    def folder(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return pathlib.Path(folder.name)

    def test_a_command_answers(self):
        for pirate in PIRATES:
            with self.subTest(pirate):
                queue = self.queue(pirate)
                self.worker(pirate, queue, "--", "tr", "a-z", "A-Z")
                client = self.client(queue)
                self.assertEqual(self.ask(client, b"hel", b"lo"), [b"HELLO"])
                self.assertEqual(self.ask(client, b""), [b""])

    def test_a_command_that_fails_is_told_of(self):
        for pirate in PIRATES:
            with self.subTest(pirate):
                queue = self.queue(pirate)
                self.worker(pirate, queue, "--max-message", 2048, "--", "sh", "-c",
                            "read -r what; case $what in 1) exit 7;; 2) head -c 3000 /dev/zero;; "
                            "*) echo fine; esac")
                client = self.client(queue)
                self.assertEqual(self.ask(client, b"1\n"), [b"exit status 7"])
                self.assertRegex(self.ask(client, b"2\n")[0], rb"^the output has more than \d+ bytes$")
                self.assertEqual(self.ask(client, b"3\n"), [b"fine\n"])

    def test_sigterm_finishes_the_request_that_is_there(self):
        for pirate in PIRATES:
            with self.subTest(pirate):
                queue = self.queue(pirate)
                begun = self.folder() / "begun"
                os.mkfifo(begun)
                worker = self.worker(pirate, queue, "--", "sh", "-c",
                                     f"echo yes > {begun}; cat {begun}; cat")
                client = self.client(queue)
                client.send(b"hello")
                begun.read_text()                   # it runs now
                worker.signal()
                begun.write_text("after all: ")     # and ends
                self.assertEqual(client.recv(), b"after all: hello")
                self.assertEqual(worker.wait(), 0)

    def test_a_worker_at_work_does_not_beat(self):
        queue = self.queue("paranoid")
        begun = self.folder() / "begun"
        os.mkfifo(begun)
        self.worker("paranoid", queue, "--", "sh", "-c", f"echo yes > {begun}; cat {begun}; cat")
        client = self.client(queue)
        client.send(b"hello")
        begun.read_text()
        self.worker("paranoid", queue)
        before = queue.beats
        queue.wait_until(lambda queue: queue.beats >= before + 5)   # the other one's
        begun.write_text("after all: ")
        self.assertEqual(client.recv(), b"after all: hello")

    def test_a_second_signal_ends_at_once(self):
        queue = self.queue("paranoid")
        begun = self.folder() / "begun"
        os.mkfifo(begun)
        worker = self.worker("paranoid", queue, "--", "sh", "-c", f"echo yes > {begun}; sleep 60")
        self.client(queue).send(b"hello")
        begun.read_text()
        worker.signal()
        worker.signal(signal.SIGINT)
        self.assertEqual(worker.wait(), 1)


class Usage(unittest.TestCase):
    """It ends at once, with a sentence that says what to do."""

    def fails(self, name, *arguments, says):
        code, _, errors = run(name, *arguments)
        self.assertEqual(code, 2, errors)
        self.assertIn(says, errors)

    def test_help_names_every_option(self):
        for name, options in (("ppworker", ["heartbeat", "liveness"]), ("spworker", [])):
            code, output, _ = run(name, "--help")
            self.assertEqual(code, 0)
            for option in ["queue", "threads", "max-message", "log-level", "version", *options]:
                self.assertIn(f"--{option} ", output.decode())

    def test_what_is_wrong_is_named(self):
        for name in "ppworker", "spworker":
            self.fails(name, "cat", says="behind --")
            self.fails(name, "--quue", "tcp://127.0.0.1:5556", says="--queue")
            self.fails(name, "--queue", "127.0.0.1:5556", says="tcp://127.0.0.1")
            self.fails(name, "--queue", "tcp://127.0.0.1:1,tcp://127.0.0.1:2", says="one --queue")
            self.fails(name, "--queue", "tcp://127.0.0.1:1", "--queue", "tcp://127.0.0.1:2",
                       says="one --queue")
            self.fails(name, "--threads", "0", says="from 1 to 256")
        self.fails("ppworker", "--heartbeat", "9", says="from 10 to 60000")
        self.fails("ppworker", "--liveness", "0", says="from 1 to 1000")
        self.fails("spworker", "--heartbeat", "1000", says="no option --heartbeat")


# Our queues: program, its options, worker program, its options, and another's worker.
FLEETS = {"paranoid": ("ppqueue", ("--heartbeat", HEARTBEAT), "ppworker", ("--heartbeat", HEARTBEAT),
                       ParanoidServing),
          "simple": ("spqueue", (), "spworker", (), SimpleServing)}


class OurQueue(PeerTest):
    """Our workers at our queues, alone and beside others."""

    def begin(self, pirate, frontend="tcp://127.0.0.1:*", backend="tcp://127.0.0.1:*"):
        name, options, *self.fleet = FLEETS[pirate]
        self.queue = Program(name, "--frontend", frontend, "--backend", backend, "--log-level",
                             "info", *options)
        self.addCleanup(self.queue.kill)
        self.frontend, self.backend = (
            self.until(lambda whom=whom: re.search(r"ready on (\S+) for %s" % whom,
                                                   self.queue.error_text()), "ready")[1]
            for whom in ("clients", "workers"))

    def worker(self, *arguments):
        name, options, _ = self.fleet
        worker = Program(name, "--queue", self.backend, *options, *arguments)
        self.addCleanup(worker.kill)
        return worker

    def registered(self, count):
        self.until(lambda: self.queue.error_text().count("PIRATE-WORKER-REGISTERED") >= count,
                   f"{count} workers are registered")

    def client(self, **options):
        return self.kept(PirateClient(self.context, self.frontend, **options))

    def test_requests_pass(self):
        for pirate in FLEETS:
            with self.subTest(pirate):
                self.begin(pirate)
                worker = self.worker()
                client = self.client()
                for number in range(100):
                    self.assertEqual(client.call(b"%d" % number, b""), [b"%d" % number, b""])
                far = self.client(kind=zmq.DEALER)
                far.front = [b"near", b"far", b""]
                self.assertEqual(far.call(b"hello"), [b"hello"])
                worker.stop()
                self.queue.stop()

    def test_ours_and_others_share_the_work(self):
        for pirate in FLEETS:
            with self.subTest(pirate):
                self.begin(pirate)
                self.worker("--", "sed", "s/^/ours /")
                other = self.start(self.fleet[2](self.context, self.backend,
                                                 lambda body: [b"other " + body[0]]))
                self.registered(2)
                clients = [self.client() for _ in range(4)]
                seen = set()
                for _ in range(10):
                    for client in clients:
                        client.send(b"hello")
                    seen.update(client.receive()[0] for client in clients)
                self.assertEqual(seen, {b"ours hello", b"other hello"})
                self.assertGreater(other.served, 0)

    def test_a_worker_that_is_killed_at_work_loses_nothing(self):
        for pirate in FLEETS:
            with self.subTest(pirate):
                folder = tempfile.TemporaryDirectory()
                self.addCleanup(folder.cleanup)
                begun = pathlib.Path(folder.name, "begun")
                os.mkfifo(begun)
                self.begin(pirate)
                victim = self.worker("--", "sh", "-c", f"echo yes > {begun}; sleep 60")
                self.registered(1)
                client = self.client()
                client.send(b"hello")
                begun.read_text()
                self.worker()
                self.registered(2)
                victim.kill()
                self.assertEqual(client.receive(), [b"hello"])

    def test_a_queue_that_is_killed_is_served_again(self):
        for pirate in FLEETS:
            with self.subTest(pirate):
                self.begin(pirate)
                self.worker("--threads", 3)
                self.registered(3)
                self.assertEqual(self.client().call(b"hello"), [b"hello"])
                self.queue.kill()
                self.begin(pirate, self.frontend, self.backend)
                self.registered(3)
                self.assertEqual(self.client().call(b"hello"), [b"hello"])
                self.queue.stop()


if __name__ == "__main__":
    unittest.main()
