"""ppqueue and spqueue against peers written from the protocol: who gets what, and what survives.

    GALLEON_BIN=build/asan /usr/bin/python3 tests/interop/test_pirates.py [-v]
"""

import re
import unittest

import zmq

import vectors
from peers import CORRELATE, Link, Proxy, Silence
from pirates import (ParanoidServing, ParanoidWorker, PirateClient, SimpleServing, SimpleWorker)
from support import ROOT, PeerTest, Program, run

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

    def test_every_kind_of_client_is_served(self):
        self.begin()
        self.serve()
        proxy = self.start(Proxy(self.context, self.frontend))
        for name, options in {"req": {}, "correlated": {**CORRELATE}, "dealer": {"kind": zmq.DEALER},
                              "named": {"IDENTITY": b"\x01\x02 a name"}}.items():
            with self.subTest(name):
                self.assertEqual(self.client(**options).call(b"Hi", b"", name.encode()),
                                 [b"Hi", b"", name.encode()])
        behind = self.kept(PirateClient(self.context, proxy.endpoint))
        self.assertEqual(behind.call(b"through", b"a", b"proxy"), [b"through", b"a", b"proxy"])
        self.queue.stop()

    def test_a_client_may_have_many_requests_open(self):
        self.begin()
        for _ in range(4):
            self.serve()
        client = self.client(kind=zmq.DEALER)
        for number in range(500):
            client.send(b"%d" % number)
        self.assertEqual(sorted(int(client.receive()[0]) for _ in range(500)), list(range(500)))
        self.queue.stop()

    def test_least_recently_used_first(self):
        self.begin()
        client = self.client()
        workers = [self.worker() for _ in range(3)]
        for turn in range(6):
            client.send(b"%d" % turn)
            worker = workers[turn % 3]
            worker.reply(worker.take(), b"%d" % turn)
            self.assertEqual(client.receive(), [b"%d" % turn])
        self.queue.stop()

    def test_a_worker_that_dies_at_work_is_replaced(self):
        self.begin()
        client, first = self.client(), self.worker()
        client.send(b"Hi")
        first.take()
        second = self.worker()
        first.vanish()
        job = second.take()
        self.assertEqual(job.body, [b"Hi"])
        second.reply(job, b"Ho")
        self.assertEqual(client.receive(), [b"Ho"])
        self.assertEqual(self.lines("PIRATE-WORKER-LOST"), 1)
        self.queue.stop()

    def test_a_request_that_kills_its_workers_is_given_up(self):
        self.begin("--attempts", 2)
        client = self.client()
        client.send(b"poison")
        for _ in range(2):
            worker = self.worker()
            worker.take()
            worker.vanish()
        self.wait_for("PIRATE-REQUEST-GIVEN-UP")
        worker = self.worker()
        healthy = self.client()
        healthy.send(b"Hi")
        job = worker.take()
        self.assertEqual(job.body, [b"Hi"])
        worker.reply(job, b"Ho")
        self.assertEqual(healthy.receive(), [b"Ho"])
        self.queue.stop()

    def test_the_late_reply_of_a_frozen_worker_reaches_nobody(self):
        self.begin("--limit", 300)
        client, frozen = self.client(), self.worker()
        client.send(b"1")
        late = frozen.take()
        second = self.worker()
        job = second.take()
        self.assertNotEqual(job.stack, late.stack)
        second.reply(job, b"in time")
        self.assertEqual(client.receive(), [b"in time"])
        frozen.reply(late, b"late")
        client.send(b"2")
        taken = self.either_takes(frozen, second)
        self.assertEqual(taken[1].body, [b"2"])
        taken[0].reply(taken[1], b"of its own")
        self.assertEqual(client.receive(), [b"of its own"])
        self.queue.stop()

    def either_takes(self, *workers):
        """The worker that is given the next request, and that."""
        def look():
            for worker in workers:
                try:
                    return worker, worker.take(0)
                except Silence:
                    continue
            return None
        return self.until(look, "a request")

    def test_a_worker_comes_back_under_its_name(self):
        self.begin()
        client, first = self.client(), self.worker(IDENTITY=b"the worker")
        client.send(b"Hi")
        first.take()
        first.vanish()

        def come_back():
            # A ROUTER that has not yet seen the first connection's end never reads a second one
            # with its name: who hears nothing comes again, as a worker of a silent queue does.
            second = self.start(self.by_hand(self.context, self.backend,
                                             IDENTITY=b"the worker"), "vanish")
            try:
                return second, second.take(1)
            except Silence:
                second.vanish()
                return None

        second, job = self.until(come_back, "the worker to be known again")
        second.reply(job, b"Ho")
        self.assertEqual(client.receive(), [b"Ho"])
        self.queue.stop()

    def test_term_finishes_what_is_out_and_takes_nothing_new(self):
        self.begin()
        client, late, worker = self.client(), self.client(), self.worker()
        client.send(b"Hi")
        job = worker.take()
        self.queue.signal()
        self.wait_for("PIRATE-DRAINING")
        late.send(b"too late")
        self.wait_for("PIRATE-REQUEST-REFUSED")
        worker.reply(job, b"Ho")
        self.assertEqual(client.receive(), [b"Ho"])
        self.assertEqual(self.queue.wait(), 0)
        with self.assertRaises(Silence):
            late.receive(0)

    def test_the_second_signal_ends_it_at_once(self):
        self.begin()
        client, worker = self.client(), self.worker()
        client.send(b"Hi")
        worker.take()
        self.queue.signal()
        self.wait_for("PIRATE-DRAINING")
        self.queue.signal()
        self.assertEqual(self.queue.wait(), 1)

    def test_no_row_of_the_pages_ends_it(self):
        self.begin()
        names = {"pirate": self.frontend, self.dialect: self.backend}
        rows = [row for page in (vectors.PAGE, vectors.PIRATES)
                for row in [*vectors.negative(page), *vectors.positive(page)]
                if row.socket in names]
        self.assertGreater(len(rows), 20)
        for row in rows:
            stranger = self.kept(Link(self.context, zmq.DEALER, names[row.socket]))
            if row.frames[1:]:
                stranger.send(row.frames[1:])
            stranger.close(1000)
        self.serve()
        self.assertEqual(self.client().call(b"Hi"), [b"Hi"])
        self.queue.stop()

    def test_workers_beyond_the_limit_are_refused(self):
        self.begin("--workers-limit", 1)
        worker = self.worker()
        self.start(self.by_hand(self.context, self.backend), "vanish")
        self.wait_for("PIRATE-WORKER-REFUSED")
        client = self.client()
        client.send(b"Hi")
        worker.reply(worker.take(), b"Ho")
        self.assertEqual(client.receive(), [b"Ho"])
        self.queue.stop()

    def test_requests_beyond_the_limits_are_refused(self):
        self.begin("--queue-limit", 5, "--client-limit", 3)
        first, second = self.client(kind=zmq.DEALER), self.client(kind=zmq.DEALER)
        for number in range(4):
            first.send(b"first %d" % number)
        self.wait_for("PIRATE-REQUEST-REFUSED", 1)
        for number in range(3):
            second.send(b"second %d" % number)
        self.wait_for("PIRATE-REQUEST-REFUSED", 2)
        self.serve()
        self.assertEqual([first.receive() for _ in range(3)],
                         [[b"first %d" % number] for number in range(3)])
        self.assertEqual([second.receive() for _ in range(2)],
                         [[b"second %d" % number] for number in range(2)])
        self.queue.stop()


class Paranoid(QueueTest, Either):
    program, by_hand, dialect = "ppqueue", ParanoidWorker, "ppp"
    options = ("--heartbeat", INTERVAL)

    def serve(self, *handler):
        return self.start(ParanoidServing(self.context, self.backend, *handler,
                                          interval=INTERVAL / 1000))

    def test_a_worker_is_beaten_idle_and_busy(self):
        self.begin()
        worker, client = self.worker(), self.client()
        self.assertEqual(worker.link.receive(), [b"\x02"])
        client.send(b"Hi")
        job = worker.take()
        beats = worker.beats
        for _ in range(5):
            self.assertEqual(worker.link.receive(), [b"\x02"])
        worker.reply(job, b"Ho")
        self.assertEqual(client.receive(), [b"Ho"])
        self.assertLess(beats, 50)
        self.queue.stop()

    def test_a_silent_worker_is_lost_and_hears_nothing_more(self):
        self.begin()
        worker = self.worker()
        self.wait_for("PIRATE-WORKER-LOST")
        with self.assertRaises(Silence):
            while True:
                worker.link.receive(INTERVAL * 3 / 1000)
        self.queue.stop()

    def test_heartbeat_is_no_readiness(self):
        self.begin()
        client = self.client()
        stranger = self.start(ParanoidWorker(self.context, self.backend, ready=False), "vanish")
        client.send(b"Hi")
        stranger.beat()
        worker = self.worker()
        worker.reply(worker.take(), b"Ho")
        self.assertEqual(client.receive(), [b"Ho"])
        self.assertEqual(self.lines("PIRATE-WORKER-REGISTERED"), 1)
        self.queue.stop()

    def test_workers_of_the_guide_find_a_restarted_queue(self):
        self.begin()
        serving = self.serve()
        self.assertEqual(self.client().call(b"before"), [b"before"])
        frontend, backend = self.frontend, self.backend
        self.queue.kill()
        self.begin(frontend=frontend, backend=backend)
        self.assertEqual(self.client().call(b"after"), [b"after"])
        self.assertGreater(serving.born, 1)
        self.queue.stop()

    def test_simple_workers_are_no_workers_here(self):
        self.begin()
        self.start(SimpleWorker(self.context, self.backend), "vanish")
        self.wait_for("PIRATE-PEER-REJECTED")
        self.assertEqual(self.lines("PIRATE-WORKER-REGISTERED"), 0)
        self.queue.stop()


class Simple(QueueTest, Either):
    program, by_hand, dialect = "spqueue", SimpleWorker, "sp"
    options = ()

    def serve(self, *handler):
        return self.start(SimpleServing(self.context, self.backend, *handler))

    def test_a_worker_is_told_nothing_but_requests(self):
        self.begin()
        worker = self.start(Link(self.context, zmq.DEALER, self.backend), "close")
        worker.send([b"", b"\x01"])
        self.wait_for("PIRATE-WORKER-REGISTERED")
        client = self.client()
        client.send(b"Hi")
        frames = worker.receive()
        self.assertEqual((frames[0], frames[2:]), (b"", [b"", b"Hi"]))
        with self.assertRaises(Silence):
            worker.receive(2.5)         # two looks at a busy worker's connection
        worker.send([b"", *frames[1:]])
        self.assertEqual(client.receive(), [b"Hi"])
        self.queue.stop()

    def test_a_worker_at_work_replies_to_a_restarted_queue_and_is_ready(self):
        self.begin()
        client, worker = self.client(), self.worker()
        client.send(b"before")
        job = worker.take()
        frontend, backend = self.frontend, self.backend
        self.queue.kill()
        self.begin(frontend=frontend, backend=backend)
        worker.reply(job, b"to nobody")
        self.wait_for("PIRATE-WORKER-REGISTERED")
        other = self.client()
        other.send(b"after")
        worker.reply(worker.take(), b"Ho")
        self.assertEqual(other.receive(), [b"Ho"])
        self.queue.stop()

    def test_paranoid_workers_are_no_workers_here(self):
        self.begin()
        self.start(ParanoidWorker(self.context, self.backend), "vanish")
        self.wait_for("PIRATE-PEER-REJECTED")
        self.assertEqual(self.lines("PIRATE-WORKER-REGISTERED"), 0)
        self.queue.stop()


class Usage(unittest.TestCase):
    """They end at once, with a sentence that says what to do."""

    COMMON = ["frontend", "backend", "attempts", "limit", "request-ttl", "queue-limit",
              "client-limit", "queue-bytes", "workers-limit", "max-message", "io-threads",
              "insecure", "log-level", "help", "version"]
    OPTIONS = {"spqueue": COMMON, "ppqueue": [*COMMON, "heartbeat", "liveness"]}

    def fails(self, program, *arguments, says, code=2):
        found, _, errors = run(program, *arguments)
        self.assertEqual(found, code, errors)
        self.assertIn(says, errors)
        self.assertNotIn("ready on", errors)

    def test_help_names_every_option_and_no_other(self):
        for program, options in self.OPTIONS.items():
            code, output, _ = run(program, "--help")
            self.assertEqual(code, 0)
            self.assertEqual(sorted(re.findall(r"^  --([a-z-]+)", output.decode(), re.MULTILINE)),
                             sorted(options))
            self.assertLessEqual(max(map(len, output.decode().splitlines())), 100)

    def test_man_pages_name_every_option_and_no_other(self):
        for program, options in self.OPTIONS.items():
            page = (ROOT / "docs" / "man" / f"{program}.1").read_text(encoding="utf-8")
            section = page.partition(".SH OPTIONS")[2].partition(".SH ")[0]
            named = re.findall(r"\\-\\-([a-z]+(?:\\-[a-z]+)*)", section)
            self.assertEqual(sorted(name.replace("\\", "") for name in named), sorted(options))

    def test_version(self):
        for program in self.OPTIONS:
            code, output, _ = run(program, "--version")
            self.assertEqual(code, 0)
            self.assertRegex(output.decode(), rf"^{program} \d+\.\d+\.\d+$")

    def test_what_is_wrong_is_named(self):
        for program in self.OPTIONS:
            with self.subTest(program):
                self.fails(program, "--fronted", "x", says="--frontend")
                self.fails(program, "--attempts", "0", says="--attempts: '0' is not")
                self.fails(program, "--backend", "nowhere", says="--backend: 'nowhere'")
                self.fails(program, "--frontend", "inproc://x", says="no other process")
                self.fails(program, "--backend", "tcp://localhost:1", says="tcp://127.0.0.1:1")
                self.fails(program, "--backend", "tcp://0.0.0.0:1", says="--insecure")
                self.fails(program, "tcp://127.0.0.1:1", says="--frontend and --backend")
        self.fails("spqueue", "--heartbeat", "100", says="there is no option --heartbeat")

    def test_an_endpoint_that_is_taken(self):
        with zmq.Context() as context, context.socket(zmq.REP) as socket:
            socket.bind("tcp://127.0.0.1:*")
            taken = socket.last_endpoint.decode()
            for program in self.OPTIONS:
                self.fails(program, "--frontend", "tcp://127.0.0.1:*", "--backend", taken,
                           says=f"{program}: cannot bind {taken}: Address already in use", code=1)


if __name__ == "__main__":
    unittest.main()
