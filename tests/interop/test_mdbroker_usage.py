"""mdbroker's command line: what it says, and what it exits with.

    GALLEON_BIN=build/asan /usr/bin/python3 tests/interop/test_mdbroker_usage.py [-v]
"""

import re
import shlex
import signal
import socket
import subprocess
import time
import unittest
from collections import Counter

import zmq

from peers import Link
from support import HEARTBEAT, ROOT, BrokerTest, PeerTest, Program, program, run

OPTIONS = ["bind", "heartbeat", "liveness", "attempts", "request-ttl", "queue-limit",
           "queue-bytes", "service", "services-limit", "max-message", "io-threads", "insecure",
           "pair", "pair-bind", "pair-peer", "witness", "pair-name", "pair-state", "pair-init",
           "pair-heartbeat", "pair-lease", "pair-redirect", "pair-guide",
           "log-level", "help", "version"]
CLASSIC = ["--pair", "primary", "--pair-bind", "tcp://127.0.0.1:5003",
           "--pair-peer", "tcp://127.0.0.1:5004"]
GUARDED = [*CLASSIC, "--witness", "tcp://127.0.0.1:5006", "--pair-state", "/nonexistent/vote"]


def has_ipv6():
    """Say whether this machine has ::1."""
    try:
        with socket.socket(socket.AF_INET6) as one:
            one.bind(("::1", 0))
    except OSError:
        return False
    return True


class Usage(unittest.TestCase):
    """It ends at once, with a sentence that says what to do."""

    def fails(self, *arguments, says):
        code, _, errors = run("mdbroker", *arguments)
        self.assertEqual(code, 2, errors)
        self.assertIn(says, errors)

    def test_help_names_every_option(self):
        code, output, _ = run("mdbroker", "--help")
        self.assertEqual(code, 0)
        for option in OPTIONS:
            self.assertIn(f"--{option}", output.decode())

    def test_version(self):
        code, output, _ = run("mdbroker", "--version")
        self.assertEqual(code, 0)
        self.assertRegex(output.decode(), r"\d+\.\d+\.\d+")

    def test_the_nearest_option_is_named(self):
        self.fails("--heartbeet", "100", says="--heartbeat")

    def test_a_number_out_of_bounds(self):
        self.fails("--liveness", "0", says="liveness")
        self.fails("--heartbeat", "1s", says="heartbeat")

    def test_an_argument_that_is_no_option(self):
        self.fails("tcp://127.0.0.1:5555", says="--bind")

    def test_settings_of_a_service(self):
        self.fails("--service", "mmi.echo", says="no service's name")
        self.fails("--service", "echo,attemps=3", says="attempts=N")
        self.fails("--service", "echo,limit=0", says="limit=0")
        self.fails("--service", "echo", "--service", "echo", says="twice")

    def test_what_cannot_be_bound_is_no_endpoint(self):
        for endpoint in ("127.0.0.1:5555", "tcp://127.0.0.1", "tcp://127.0.0.1:65536",
                         "tcp://127.0.0.1:99999", "tcp://127.0.0.1:x", "tcp://::1:5555",
                         "tcp://127.0.0.1:*,tcp://127.0.0.1:*", "tcp://127.0.0.1:0;0.0.0.0:*"):
            with self.subTest(endpoint=endpoint):
                self.fails("--bind", endpoint, says="no endpoint; one looks like tcp://127.0.0.1")

    def test_nobody_could_connect_over_inproc(self):
        self.fails("--bind", "inproc://broker", says="no other process can connect")

    def test_localhost_is_no_address(self):
        self.fails("--bind", "tcp://localhost:5555",
                   says="write tcp://127.0.0.1:5555 or tcp://[::1]:5555")

    def test_beyond_loopback_wants_insecure(self):
        self.fails("--bind", "tcp://[::]:*", says="--insecure")
        self.fails("--bind", "tcp://0.0.0.0:*", says="--insecure")
        self.fails("--bind", "tcp://*:*", says="--insecure")


class PairUsage(unittest.TestCase):
    """What is wrong with a pair is named before anything is bound."""

    fails = Usage.fails

    def test_the_manual_has_every_option(self):
        manual = (ROOT / "docs/man/mdbroker.1").read_text().replace("\\-", "-")
        for option in OPTIONS:
            self.assertIn(f"--{option}", manual)

    def test_what_is_missing(self):
        self.fails("--pair", "primary", says="--pair needs --pair-bind")
        self.fails(*CLASSIC[:4], says="--pair needs --pair-peer")
        self.fails(*CLASSIC, "--witness", "ipc://w", says="--witness needs --pair-state")
        for option in (["--pair-guide"], ["--pair-redirect", "tcp://127.0.0.1:5555"],
                       ["--witness", "ipc://w"], ["--pair-name", "a"]):
            self.fails(*option, says=f"{option[0]} is of a pair: say --pair primary or")
        for option in (["--pair-init"], ["--pair-state", "x"], ["--pair-lease", "1000"]):
            self.fails(*CLASSIC, *option, says=f"{option[0]} is of a pair with a witness")

    def test_what_does_not_go_together(self):
        self.fails(*GUARDED, "--pair-guide", says="--pair-guide and --witness: give one of them")
        self.fails(*CLASSIC, "--pair-peer", CLASSIC[3], says="the other half's --pair-bind")

    def test_what_is_no_role_name_or_number(self):
        self.fails("--pair", "master", says="primary")
        self.fails(*CLASSIC, "--pair-name", "", says="1 to 64 bytes")
        self.fails(*CLASSIC, "--pair-name", "x" * 65, says="1 to 64 bytes")
        self.fails(*CLASSIC, "--pair-heartbeat", "1", says="pair-heartbeat")
        self.fails(*GUARDED, "--pair-lease", "0", says="pair-lease")
        self.fails(*GUARDED, "--pair-lease", "102", says="whole number from 103 to 600000")

    def test_what_is_no_endpoint(self):
        for option in ("--pair-bind", "--pair-peer", "--pair-redirect"):
            self.fails(*CLASSIC, option, "localhost", says=f"{option}: 'localhost' is no endpoint")
        self.fails(*CLASSIC, "--pair-bind", "tcp://127.0.0.1:*", says="has to name the port")
        self.fails(*CLASSIC, "--pair-peer", "inproc://peer", says="no endpoint")
        self.fails(*CLASSIC, "--pair-peer", "tcp://a:1,tcp://b:1", says="no endpoint")
        self.fails(*GUARDED, "--witness", "w", says="--witness: 'w' is no endpoint")

    def test_members_of_a_guarded_pair_speak_plain_and_so_on_this_machine_only(self):
        self.fails(*CLASSIC, "--pair-bind", "tcp://*:5003", says="--insecure")
        for option, endpoint in (("--pair-bind", "tcp://*:5003"), ("--pair-peer", "tcp://b:5004"),
                                 ("--witness", "tcp://10.0.0.1:5006")):
            self.fails("--insecure", *GUARDED, option, endpoint,
                       says=f"{option}: '{endpoint}' may lead to another machine")

    def test_what_cannot_be_made_is_exit_1(self):
        code, _, errors = run("mdbroker", "--bind", "tcp://127.0.0.1:*", *GUARDED, "--pair-init")
        self.assertEqual(code, 1)
        self.assertIn("cannot make /nonexistent/vote", errors)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            endpoint = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
            code, _, errors = run("mdbroker", "--bind", "tcp://127.0.0.1:*", *CLASSIC,
                                  "--pair-bind", endpoint)
        self.assertEqual(code, 1)
        self.assertIn(f"cannot bind {endpoint}", errors)


class Endpoints(PeerTest):
    """What it binds, it names."""

    def test_several_endpoints_each_with_its_real_port(self):
        broker = self.start(Program("mdbroker", "--bind", "tcp://127.0.0.1:*",
                                    "--bind", "tcp://127.0.0.1:*"))
        broker.ready()
        ready = re.compile(r"mdbroker: ready on tcp://127\.0\.0\.1:(\d+)\n")
        ports = self.until(lambda: len(found := set(ready.findall(broker.error_text()))) == 2
                           and found, "the second endpoint")
        self.assertEqual(len(ports), 2)

    @unittest.skipUnless(has_ipv6(), "this machine has no ::1")
    def test_ipv6_beside_ipv4_each_as_it_was_written(self):
        broker = self.start(Program("mdbroker", "--bind", "tcp://127.0.0.1:*",
                                    "--bind", "tcp://[::1]:*"))
        broker.ready()
        ready = re.compile(r"mdbroker: ready on tcp://(\S+):\d+\n")
        self.until(lambda: ready.findall(broker.error_text()) == ["127.0.0.1", "[::1]"],
                   "the second endpoint")

    def test_a_name_of_no_interface_is_exit_1(self):
        code, _, errors = run("mdbroker", "--insecure", "--bind", "tcp://no-interface:*")
        self.assertEqual(code, 1)
        self.assertRegex(errors, "cannot bind tcp://no-interface:.*\n.* address .* interface")

    def test_a_connection_that_says_nothing_is_closed_after_3_seconds(self):
        broker = self.start(Program("mdbroker", "--bind", "tcp://127.0.0.1:*"))
        port = int(broker.ready().rpartition(":")[2])
        start = time.monotonic()
        with socket.create_connection(("127.0.0.1", port), timeout=15) as silent:
            while silent.recv(100):     # libzmq greets
                pass
        self.assertTrue(2.5 < time.monotonic() - start < 15)

    def test_no_descriptor_left_is_exit_1(self):
        # Below 8 libzmq's own threads find no room, and from 13 on it begins to bind.
        for limit in range(8, 13):
            with self.subTest(limit=limit):
                ended = subprocess.run(
                    ["prlimit", f"--nofile={limit}", program("mdbroker"),
                     "--bind", "tcp://127.0.0.1:*"],
                    stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False)
                self.assertEqual((ended.returncode, ended.stderr.decode()),
                                 (1, "mdbroker: out of memory or descriptors\n"))

    def test_an_endpoint_in_use_is_exit_1(self):
        broker = self.start(Program("mdbroker", "--bind", "tcp://127.0.0.1:*"))
        code, _, errors = run("mdbroker", "--bind", broker.ready())
        self.assertEqual(code, 1)
        self.assertIn("cannot bind", errors)


class Signals(BrokerTest):
    """It drains when it is told to end."""

    @classmethod
    def setUpClass(cls):
        """Each test ends a broker of its own."""

    def setUp(self):
        self.broker = self.start(Program("mdbroker", "--bind", "tcp://127.0.0.1:*",
                                         "--heartbeat", HEARTBEAT), end="kill")
        self.endpoint = self.broker.ready()
        super().setUp()

    def begun(self, service):
        """A worker that has a request, and its client."""
        worker, client = self.worker("g1", service), self.client("g1")
        client.send(service, [b"Hi"])
        return worker, client, worker.take()

    def test_a_terminal_that_hangs_up_lets_it_finish_what_is_out(self):
        service = self.name()
        worker, client, request = self.begun(service)
        self.broker.signal(signal.SIGHUP)
        while not worker.draining:
            worker.understand(worker.link.receive())
        self.broker.signal(signal.SIGHUP)
        worker.final(request, [b"done"])
        worker.flush()
        self.assertEqual(client.receive(service).body, [b"done"])
        self.assertEqual(self.broker.wait(), 0)

    def test_a_second_signal_that_is_no_hangup_ends_it_at_once(self):
        worker, _, _ = self.begun(self.name())
        self.broker.signal(signal.SIGHUP)
        while not worker.draining:
            worker.understand(worker.link.receive())
        self.broker.signal(signal.SIGTERM)
        self.assertEqual(self.broker.wait(), 1)


class Bounds(BrokerTest):
    """What its options bound is bounded there."""

    @classmethod
    def setUpClass(cls):
        """Each test has a broker with options of its own."""

    def mdbroker(self, *arguments):
        broker = self.start(Program("mdbroker", "--bind", "tcp://127.0.0.1:*",
                                    "--heartbeat", HEARTBEAT, *arguments))
        self.endpoint = broker.ready()
        self.asking = self.client("g1")

    def setUp(self):
        self.endpoint = "tcp://127.0.0.1:9"
        super().setUp()

    def test_liveness(self):
        self.mdbroker("--liveness", 8)
        self.worker("g1", b"echo")      # says nothing more
        self.wait_for_service(b"echo")
        start = time.monotonic()
        self.wait_for_service(b"echo", registered=False)
        self.assertGreater(time.monotonic() - start, 6 * HEARTBEAT / 1000)

    def test_request_ttl(self):
        self.mdbroker("--request-ttl", 300)
        start = time.monotonic()
        self.assertEqual(self.client("g1").call(b"nobody", [b"Hi"]).status, 404)
        self.assertGreaterEqual(time.monotonic() - start, 0.3)

    def test_queue_limit(self):
        self.mdbroker("--queue-limit", 2)
        client = self.client("g1")
        for _ in range(2):
            client.request(b"nobody", [b"Hi"])
        self.assertEqual(client.call(b"nobody", [b"Hi"]).status, 429)
        self.assertEqual(self.service_row(b"nobody")["queued"], 2)

    def test_queue_bytes(self):
        self.mdbroker("--queue-bytes", 100000)
        client = self.client("g1")
        client.request(b"nobody", [bytes(60000)])
        self.assertEqual(client.call(b"nobody", [bytes(60000)]).status, 429)
        self.assertEqual(self.service_row(b"nobody")["queued"], 1)

    def test_resume(self):
        self.mdbroker("--service", "stream,resume")
        first, client = self.worker("g1", b"stream"), self.client("g1")
        client.send(b"stream", [b"Hi"])
        first.partial(first.take(), [b"half"])
        first.flush()
        self.assertEqual(client.next_record().command, "partial")
        first.vanish()
        second = self.worker("g1", b"stream")
        second.final(second.take(), [b"whole"])
        second.flush()
        final = client.next_record()
        self.assertEqual((final.command, final.status, final.body), ("final", 200, [b"whole"]))


class Nohup(BrokerTest):
    """A hang-up that was ignored from the start is nothing."""

    @classmethod
    def setUpClass(cls):
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            super().setUpClass()
        finally:
            signal.signal(signal.SIGHUP, before)

    def test_it_serves_on(self):
        self.broker.signal(signal.SIGHUP)
        self.assertEqual(self.client("g1").call(b"mmi.ping", [b"Hi"]).status, 200)
        self.assertIsNone(self.broker.process.poll())


class Log(BrokerTest):
    """A line says what an operator needs, and nothing of what peers keep to themselves."""

    @classmethod
    def setUpClass(cls):
        """Each test has a broker of its own, so that it knows who is there."""

    def setUp(self):
        self.broker = self.start(Program("mdbroker", "--bind", "tcp://127.0.0.1:*",
                                         "--heartbeat", HEARTBEAT, "--log-level", "info",
                                         "--services-limit", 2, "--service", "once,attempts=never"))
        self.endpoint = self.broker.ready()
        super().setUp()

    def lines(self, code, count=1, **wanted):
        """Wait for lines of this code with these fields, and return all fields of each."""
        def found():
            lines = [shlex.split(line) for line in self.broker.error_text().splitlines()
                     if f" {code} " in line]
            fields = [dict(word.split("=", 1) for word in line[2:]) for line in lines]
            fields = [line for line in fields if wanted.items() <= line.items()]
            return len(fields) >= count and fields
        return self.until(found, f"{count} {code} with {wanted}")

    def test_a_request_that_is_given_up(self):
        worker, client = self.worker("g1", b"once"), self.client("g1")
        client.send(b"once", [b"what nobody may read"])
        worker.take()
        worker.vanish()
        self.assertEqual(client.receive(b"once").status, 502)

        came, = self.lines("MDP-WORKER-REGISTERED", service="once")
        self.assertEqual(set(came), {"worker", "peer", "service", "dialect", "credit"})
        lost, = self.lines("MDP-WORKER-LOST", worker=came["worker"])
        self.assertEqual(lost, {"worker": came["worker"], "peer": came["peer"], "service": "once",
                                "why": "unreachable", "out": "1"})
        given_up, = self.lines("MDP-REQUEST-GIVEN-UP")
        self.assertNotEqual(given_up.pop("peer"), came["peer"])     # its client's
        self.assertEqual(given_up, {"worker": came["worker"], "service": "once", "status": "502",
                                    "why": "no attempt is left", "attempts": "1"})
        self.assertNotIn("nobody may read", self.broker.error_text())

    def test_what_is_refused(self):
        for name in (b"one", b"two"):
            self.worker("g1", name)
            self.wait_for_service(name)
        self.worker("0.1", b"third")
        refused = self.lines("MDP-WORKER-REFUSED", service="third")[0]
        self.assertEqual(set(refused), {"peer", "service", "why"})
        self.assertEqual(refused["why"], "there are too many services")

        client = self.client("g1")
        for _ in range(2):
            self.assertEqual(client.call(b"fourth", [b"x"]).status, 429)
        first, second = self.lines("MDP-REQUEST-REFUSED", 2, service="fourth")
        self.assertEqual(first, second)
        self.assertEqual(first, {"peer": first["peer"], "service": "fourth", "status": "429",
                                 "why": "there are too many services"})

    def test_lines_about_one_peer_can_be_matched(self):
        peers = [Link(self.context, zmq.DEALER, self.endpoint, ROUTING_ID=b"Secret-%d" % number)
                 for number in range(2)]
        for peer in peers * 2:
            self.kept(peer).send([b"nonsense"])
        found = self.lines("MDP-PEER-REJECTED", 4, why="invalid_header")
        self.assertEqual(sorted(Counter(line["peer"] for line in found).values()), [2, 2])
        self.assertEqual({tuple(line) for line in found}, {("peer", "why")})
        for word in ("Secret", b"Secret".hex()):
            self.assertNotIn(word, self.broker.error_text())

    def test_a_worker_that_is_rejected_is_named(self):
        worker = self.worker("g1", b"once")
        self.wait_for_service(b"once")
        worker.link.send([b"nonsense"])
        came = self.lines("MDP-WORKER-REGISTERED", service="once")[-1]
        rejected, = self.lines("MDP-PEER-REJECTED", worker=came["worker"])
        self.assertEqual(rejected, {"worker": came["worker"], "peer": came["peer"],
                                    "service": "once", "why": "invalid_header"})

    def test_a_name_cannot_write_fields_of_its_own(self):
        for name in (b'inj" why="fake" x="1', b'one\\" why="fake'):
            self.worker("0.1", name)
            came, = self.lines("MDP-WORKER-REGISTERED", service=name.decode())
            self.assertEqual(set(came), {"worker", "peer", "service", "dialect", "credit"})


class Words(unittest.TestCase):
    """What stands on the line and cannot be meant is named."""

    def fails(self, *arguments, says):
        code, _, errors = run("mdbroker", *arguments)
        self.assertEqual(code, 2, errors)
        self.assertIn(says, errors)

    def test_a_beginning_of_two_options(self):
        self.fails("--queue", "5", says="--queue-limit or --queue-bytes")
        self.fails("--s", "echo", says="--service or --services-limit")

    def test_a_word_behind_two_dashes(self):
        self.fails("--", "foo", says="'foo' is not wanted")
        self.fails("--bind", "tcp://127.0.0.1:*", "--", "--insecure", says="is not wanted")


if __name__ == "__main__":
    unittest.main()
