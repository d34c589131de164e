"""mdbroker's command line: what it says, and what it exits with.

    GALLEON_BIN=build/asan /usr/bin/python3 tests/interop/test_mdbroker_usage.py [-v]
"""

import re
import socket
import unittest

from support import PeerTest, Program, run

OPTIONS = ["bind", "heartbeat", "liveness", "attempts", "request-ttl", "queue-limit",
           "queue-bytes", "service", "services-limit", "max-message", "io-threads", "insecure",
           "log-level", "help", "version"]


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

    def test_an_endpoint_in_use_is_exit_1(self):
        broker = self.start(Program("mdbroker", "--bind", "tcp://127.0.0.1:*"))
        code, _, errors = run("mdbroker", "--bind", broker.ready())
        self.assertEqual(code, 1)
        self.assertIn("cannot bind", errors)


if __name__ == "__main__":
    unittest.main()
