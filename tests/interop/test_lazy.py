"""lpclient with servers and queues of all kinds, and with those that misbehave.

    GALLEON_BIN=build/asan /usr/bin/python3 tests/interop/test_lazy.py [-v]
"""

import json
import random
import signal
import time
import unittest

import zmq

from lazy_peers import Listener, OldServer, ParanoidQueue, QueueWorker, Server, SimpleQueue, echo
from support import ROOT, Program, run

NOWHERE = "tcp://127.0.0.1:1"       # no port that the system gives to anybody
OPTIONS = ["endpoint", "timeout", "attempts", "backoff", "deadline", "request-ids", "log-level",
           "help", "version"]


def silent(_server, _number, _body):
    return None


class LazyTest(unittest.TestCase):

    def kept(self, peer):
        self.addCleanup(peer.close)
        return peer

    def server(self, script=echo, kind=zmq.REP):
        return self.kept(Server(script, kind))

    def ask(self, *arguments, code=0, stdin=None):
        got, output, errors = run("lpclient", *arguments, stdin=stdin)
        self.assertEqual(got, code, errors)
        return output

    def timed(self, *arguments, code=0):
        began = time.monotonic()
        output = self.ask(*arguments, code=code)
        return output, time.monotonic() - began


class Bodies(LazyTest):
    """What the server sees is the body and nothing else; what is printed is its reply."""

    BODIES = [["Hello"], ["1"], [""], ["", ""], ["a", "", "b"], ["x" * 100000, "y"]]

    def test_every_kind_of_server(self):
        for kind in zmq.REP, zmq.ROUTER:
            for options in [], ["--request-ids"]:
                server = self.server(kind=kind)
                for body in self.BODIES:
                    with self.subTest(kind=kind, options=options, body=body):
                        output = self.ask("--endpoint", server.endpoint, *options, *body)
                        frames = [frame.encode() for frame in body]
                        self.assertEqual(server.requests[-1], frames)
                        self.assertEqual(output, b"".join(frame + b"\n" for frame in frames))

    def test_bytes_of_standard_input(self):
        server = self.server()
        data = bytes(range(256)) * 100
        self.assertEqual(self.ask(server.endpoint, "--", "first", "-", stdin=data),
                         b"first\n" + data + b"\n")
        self.assertEqual(server.requests, [[b"first", data]])

    def test_without_a_body_one_empty_frame_is_sent(self):
        server = self.server()
        self.assertEqual(self.ask(server.endpoint, "--"), b"\n")
        self.assertEqual(server.requests, [[b""]])

    def test_envelope_is_that_of_a_req_socket(self):
        server = self.server(kind=zmq.ROUTER)
        self.ask(server.endpoint, "--", "x")
        self.assertEqual(len(server.envelopes[0]), 2)
        self.ask("--request-ids", server.endpoint, "--", "x")
        _, number, empty = server.envelopes[1]
        self.assertEqual((len(number), empty), (4, b""))

    def test_queues_of_the_guide(self):
        for make, kind in (SimpleQueue, zmq.REQ), (ParanoidQueue, zmq.DEALER):
            queue = self.kept(make())
            self.kept(QueueWorker(kind, queue.worker_endpoint))
            for text in "one", "two", "three":
                self.assertEqual(self.ask(queue.endpoint, "--", text), text.encode() + b"\n")

    def test_body_of_many_frames_through_the_simple_queue(self):
        queue = self.kept(SimpleQueue())
        self.kept(QueueWorker(zmq.REQ, queue.worker_endpoint))
        self.assertEqual(self.ask(queue.endpoint, "--", "a", "", "b"), b"a\n\nb\n")


class Trouble(LazyTest):

    def test_request_that_gets_no_reply_is_asked_again(self):
        for kind in zmq.REP, zmq.ROUTER:
            server = self.server(lambda _, number, body: body if number == 3 else None, kind)
            self.assertEqual(self.ask("--timeout", 1000, server.endpoint, "--", "x"), b"x\n")
            self.assertEqual(server.requests, [[b"x"]] * 3)

    def test_server_that_is_silent_gets_all_attempts_and_no_more(self):
        server = self.server(silent, zmq.ROUTER)
        _, seconds = self.timed("--timeout", 500, "--attempts", 4, server.endpoint, "--", "x",
                                code=3)
        self.assertEqual(len(server.requests), 4)
        self.assertGreaterEqual(seconds, 2.0)

    def test_deadline_ends_it_whatever_the_attempts(self):
        server = self.server(silent, zmq.ROUTER)
        _, seconds = self.timed("--timeout", 400, "--attempts", 1000, "--deadline", 1000,
                                server.endpoint, "--", "x", code=3)
        self.assertIn(len(server.requests), (2, 3))
        self.assertGreaterEqual(seconds, 1.0)

    def test_late_reply_is_not_taken_for_the_next_attempts(self):
        for options in [], ["--request-ids"]:
            def script(server, number, _body):
                if number == 1:
                    return None
                server.reply_to(1, [b"late"])
                return [b"in time"]
            server = self.server(script, zmq.ROUTER)
            self.assertEqual(self.ask("--timeout", 300, *options, server.endpoint, "--", "x"),
                             b"in time\n")
            self.assertEqual(len({envelope[0] for envelope in server.envelopes}), 2)

    def test_what_is_no_reply_is_passed_over(self):
        def script(server, _number, body):
            route = server.envelopes[-1][0]
            server.socket.send_multipart([route, b"no envelope"])
            server.socket.send_multipart([route, b""])
            return body
        server = self.server(script, zmq.ROUTER)
        self.assertEqual(self.ask("--attempts", 1, server.endpoint, "--", "x"), b"x\n")

    def test_reply_of_another_id_is_passed_over(self):
        def script(server, _number, body):
            route, number, _ = server.envelopes[-1]
            other = bytes(byte ^ 1 for byte in number)
            server.socket.send_multipart([route, other, b"", b"another's"])
            server.socket.send_multipart([route, b"", b"nobody's"])
            return body
        server = self.server(script, zmq.ROUTER)
        self.assertEqual(self.ask("--request-ids", server.endpoint, "--", "x"), b"x\n")

    def test_server_that_comes_later_is_reached(self):
        socket = zmq.Context.instance().socket(zmq.REP)
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        socket.close(0)
        endpoint = f"tcp://127.0.0.1:{port}"
        client = Program("lpclient", "--timeout", 1000, "--attempts", 20, endpoint, "--", "x")
        self.addCleanup(client.kill)
        with client.changed:        # one attempt has found nobody
            self.assertTrue(client.changed.wait_for(lambda: client.errors, 20))
        self.kept(Server(echo, endpoint=endpoint))
        self.assertEqual(client.wait(), 0, client.error_text())
        self.assertEqual(b"".join(client.output), b"x\n")

    def test_unreliable_server_of_the_guide(self):
        """Some requests into its life it dies for a while, or is slow: as lpserver does."""
        chance = random.Random(4)

        def script(server, number, body):
            if number > 3 and chance.random() < 0.25:
                server.restart(pause=0.3)
                return echo         # never sent: the socket of this request is gone
            if number > 3 and chance.random() < 0.25:
                time.sleep(0.6)     # an overload
            return body

        class Unreliable(Server):
            def on_message(self, socket, frames):
                self.took(frames)
                reply = self.script(self, len(self.requests), frames)
                if self.socket is socket:
                    socket.send_multipart(reply)

        server = self.kept(Unreliable(script))
        for number in range(1, 13):
            self.assertEqual(self.ask("--timeout", 400, "--attempts", 30, server.endpoint, "--",
                                      number), b"%d\n" % number)
        self.assertGreater(len(server.requests), 12)


    def test_server_never_sees_two_connections(self):
        listener = self.kept(Listener(hangs_up=False))
        self.ask("--timeout", 20, "--attempts", 50, listener.endpoint, "--", "x", code=3)
        self.assertEqual((listener.accepted, listener.most), (50, 1))

    def test_who_hangs_up_before_a_handshake_has_not_been_asked(self):
        """As a container's proxy does whose server is gone: that costs time, and no attempt."""
        listener = self.kept(Listener(hangs_up=True))
        _, seconds = self.timed("--timeout", 600, "--attempts", 1, listener.endpoint, "--", "x",
                                code=3)
        self.assertGreaterEqual(seconds, 0.6)
        self.assertLess(listener.accepted, 20)
        server = self.server()
        self.assertEqual(self.ask("--attempts", 1, listener.endpoint, server.endpoint, "--", "x"),
                         b"x\n")


class Failover(LazyTest):
    """Several servers and no queue."""

    def test_silent_server_is_left_for_the_next_after_one_timeout(self):
        first, second = self.server(silent, zmq.ROUTER), self.server()
        output, seconds = self.timed("--timeout", 1000, "--endpoint", first.endpoint,
                                     "--endpoint", second.endpoint, "x")
        self.assertEqual(output, b"x\n")
        self.assertEqual((len(first.requests), len(second.requests)), (1, 1))
        self.assertGreaterEqual(seconds, 1.0)
        self.assertLess(seconds, 4.0)

    def test_server_that_is_not_there_is_left_before_the_timeout(self):
        server = self.server()
        output, seconds = self.timed("--timeout", 20000, NOWHERE, server.endpoint, "--", "x")
        self.assertEqual(output, b"x\n")
        self.assertLess(seconds, 10)

    def test_server_that_dies_of_the_request_is_left_at_once(self):
        def die(server, _number, _body):
            server.poller.unregister(server.socket)
            server.sockets.remove(server.socket)
            server.socket.close(0)
        first = self.server(die, zmq.ROUTER)
        second = self.server()
        output, seconds = self.timed("--timeout", 20000, first.endpoint, second.endpoint, "--",
                                     "x")
        self.assertEqual(output, b"x\n")
        self.assertLess(seconds, 10)

    def test_endpoints_in_one_list(self):
        server = self.server()
        self.assertEqual(self.ask("--timeout", 500, "--endpoint", f"{NOWHERE},{server.endpoint}",
                                  "x"), b"x\n")

    def test_each_in_turn(self):
        servers = [self.server(silent, zmq.ROUTER) for _ in range(3)]
        self.ask("--timeout", 400, "--attempts", 7, *[server.endpoint for server in servers], "--",
                 "x", code=3)
        self.assertEqual([len(server.requests) for server in servers], [3, 2, 2])


class Bench(LazyTest):
    """galleon bench call --endpoint."""

    def bench(self, *arguments, code=0):
        got, output, errors = run("galleon", "bench", "call", *arguments)
        self.assertEqual(got, code, errors)
        return output.decode(), errors

    def test_it_counts_what_it_was_told_to(self):
        for kind in zmq.REP, zmq.ROUTER:
            for clients in 1, 3:
                server = self.server(kind=kind)
                output, _ = self.bench("--endpoint", server.endpoint, "--json", "--requests", 100,
                                       "--clients", clients, "--size", 10)
                found = json.loads(output)
                self.assertEqual(found["service"], server.endpoint)
                self.assertEqual((found["answers"], found["lost"]), (100, 0))
                self.assertEqual((found["clients"], found["window"]), (clients, 1))
                self.assertGreater(found["rate"], 0)
                self.assertLessEqual(found["p50_ms"], found["p99_ms"])
                # Each client makes a call before it is measured.
                self.assertEqual(server.requests, [[b"x" * 10]] * (100 + clients))

    def test_people_are_told_the_same(self):
        server = self.server()
        output, _ = self.bench("--endpoint", server.endpoint, "--seconds", 1)
        for word in "rate", "p50", "p99", "lost":
            self.assertRegex(output, rf"(?m)^{word} +[\d.]+")
        self.assertIn(server.endpoint, output)

    def test_calls_without_a_reply_are_lost(self):
        server = self.server(lambda _, number, body: body if number < 5 else None, zmq.ROUTER)
        output, errors = self.bench("--endpoint", server.endpoint, "--json", "--requests", 6,
                                    "--timeout", 500, "--attempts", 1, code=1)
        self.assertEqual(json.loads(output)["lost"], 3)
        self.assertIn("3 calls were lost", errors)

    def test_old_server_that_hangs_up_has_been_asked(self):
        """Of ZMTP 2 libzmq does not tell that both have shaken hands; a reply does."""
        server = self.kept(OldServer())
        output, _ = self.bench("--endpoint", server.endpoint, "--json", "--requests", 1, "--size",
                               3, "--attempts", 1, code=1)
        self.assertEqual(json.loads(output)["lost"], 1)
        self.assertEqual(server.requests, [[b"", b"xxx"]] * 2)

    def test_server_that_is_not_there_is_named(self):
        _, errors = self.bench("--endpoint", NOWHERE, "--timeout", 100, code=3)
        self.assertIn(f"no reply from {NOWHERE}", errors)

    def test_options_that_are_for_brokers_are_refused(self):
        for option in (["--window", 3], ["--broker", NOWHERE], ["--dialect", "g1"]):
            _, errors = self.bench("--endpoint", NOWHERE, *option, code=2)
            self.assertIn(f"--endpoint and {option[0]}: give one of them", errors)
        _, errors = self.bench("--endpoint", NOWHERE, "echo", code=2)
        self.assertIn("takes no 'echo'", errors)
        _, errors = self.bench("--endpoint", "here", code=2)
        self.assertIn("tcp://127.0.0.1:5555", errors)


class Usage(LazyTest):

    def fails(self, *arguments, says):
        code, _, errors = run("lpclient", *arguments)
        self.assertEqual(code, 2, errors)
        self.assertIn(says, errors)

    def test_help_names_every_option(self):
        output = self.ask("--help").decode()
        for option in OPTIONS:
            self.assertIn(f"--{option}", output)

    def test_manual_has_every_option(self):
        page = (ROOT / "docs" / "man" / "lpclient.1").read_text().replace("\\-", "-")
        for option in OPTIONS:
            self.assertIn(f"--{option}", page)

    def test_version(self):
        self.assertRegex(self.ask("--version").decode(), r"\d+\.\d+\.\d+")

    def test_what_is_wrong_is_named(self):
        self.fails(says="--endpoint")
        self.fails("--", "x", says="--endpoint")
        self.fails("--endpoint", "127.0.0.1:5555", "x", says="tcp://127.0.0.1:5555")
        self.fails("127.0.0.1:5555", "--", "x", says="'127.0.0.1:5555' is no endpoint")
        self.fails(NOWHERE, "two", "--", "x", says="'two' is no endpoint")
        self.fails("--timeout", "0", NOWHERE, says="from 1 to")
        self.fails("--attempts", "many", NOWHERE, says="whole number")
        self.fails("--endpont", NOWHERE, says="--endpoint")

    def test_it_says_what_it_does(self):
        code, output, errors = run("lpclient", "--timeout", 100, "--attempts", 2, NOWHERE, "--",
                                   "x")
        self.assertEqual((code, output), (3, b""))
        self.assertIn(f"attempt 2 goes to {NOWHERE}", errors)
        self.assertIn(f"no reply from {NOWHERE}", errors)

    def test_signal_ends_it(self):
        server = self.server(silent, zmq.ROUTER)
        client = Program("lpclient", "--timeout", 60000, server.endpoint, "--", "x")
        self.addCleanup(client.kill)
        server.wait_for_requests(1)
        client.signal(signal.SIGINT)
        self.assertEqual(client.wait(), 1)
        self.assertIn("interrupted", client.error_text())


if __name__ == "__main__":
    unittest.main()
