#!/usr/bin/env python3
"""test_client_programs.py - mdclient and galleon as people and scripts use them.

The programs are taken from the folder that GALLEON_BIN names, else GALLEON_BUILD (as ctest sets
it):  GALLEON_BIN=build/asan tests/shell/test_client_programs.py [-v] [Class[.test]]
"""

import base64
import json
import os
import pathlib
import pty
import re
import socket
import subprocess
import sys
import threading
import time
import unittest

import zmq

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = pathlib.Path(os.environ.get("GALLEON_BIN") or os.environ.get("GALLEON_BUILD")
                      or ROOT / "build" / "asan")
PATIENCE = 60           # seconds until a program that hangs fails the test


def path(name):
    return str(FOLDER / name)


def serving(name, *arguments):
    """The command line of a program that the kernel ends if this test is killed."""
    return ["setpriv", "--pdeathsig", "KILL", path(name), *arguments]


class Daemon:
    """A program of ours that serves until stop()."""

    def __init__(self, name, *arguments):
        self.process = subprocess.Popen(serving(name, *arguments), stdin=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE)
        self.endpoint = None
        self.lines = []
        pattern = re.compile(rf"{name}: ready on (\S+)".encode())
        for line in self.process.stderr:
            self.lines.append(line)
            match = pattern.match(line)
            if match:
                self.endpoint = match.group(1).decode()
                break
        else:
            raise AssertionError(f"{name} did not start: {b''.join(self.lines)!r}")
        self.reader = threading.Thread(target=lambda: self.lines.extend(self.process.stderr),
                                       daemon=True)
        self.reader.start()

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            self.reader.join(PATIENCE)
            self.process.stderr.close()


def run(name, *arguments, **options):
    """Run a program to its end; its result has text in stdout and stderr."""
    options.setdefault("stdin", subprocess.DEVNULL if "input" not in options else None)
    options = {key: value for key, value in options.items() if value is not None}
    done = subprocess.run([path(name), *arguments], capture_output="stdout" not in options,
                          timeout=PATIENCE, check=False, **options)
    done.text = (done.stdout or b"").decode(errors="replace")
    done.errors = (done.stderr or b"").decode(errors="replace")
    return done


class Programs(unittest.TestCase):
    """One broker and a few workers for all tests of a class."""

    @classmethod
    def setUpClass(cls):
        cls.broker = Daemon("mdbroker", "--bind", "tcp://127.0.0.1:*")
        cls.addClassCleanup(cls.broker.stop)
        cls.endpoint = cls.broker.endpoint
        for arguments in (["echo"], ["echo-two"], ["fail", "--", "false"]):
            worker = subprocess.Popen(serving("mdworker", "--broker", cls.endpoint, *arguments),
                                      stdin=subprocess.DEVNULL)
            cls.addClassCleanup(worker.wait, PATIENCE)
            cls.addClassCleanup(worker.terminate)
        cls.wait_for_services("echo", "echo-two", "fail")

    @classmethod
    def wait_for_services(cls, *names):
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            rows = json.loads(run("galleon", "--broker", cls.endpoint, "--json",
                                  "service", "ls").text or "[]")
            if {row["service"] for row in rows if row["workers"]} >= set(names):
                return
        raise AssertionError("the workers did not register in time")

    def ask(self, name, *arguments, code=0, **options):
        done = run(name, "--broker", self.endpoint, *arguments, **options)
        self.assertEqual(done.returncode, code, done.errors)
        return done


class MdClient(Programs):

    def test_each_frame_of_the_reply_is_a_line(self):
        self.assertEqual(self.ask("mdclient", "echo", "one", "", "three").text, "one\n\nthree\n")
        self.assertEqual(self.ask("mdclient", "echo", "--", "-x", "--y").text, "-x\n--y\n")
        self.assertEqual(self.ask("mdclient", "--dialect", "0.1", "echo").text, "\n")

    def test_dash_is_standard_input_whatever_it_holds(self):
        for size in (0, 1, 65536, 131072, 300000):
            text = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
            done = self.ask("mdclient", "echo", "first", "-", input=text)
            self.assertEqual(done.stdout, b"first\n" + text + b"\n")

    def test_input_that_cannot_be_read_is_a_failure(self):
        folder = os.open("/", os.O_RDONLY)
        self.addCleanup(os.close, folder)
        for command in (["mdclient"], ["galleon", "call"]):
            done = self.ask(*command, "echo", "-", code=1, stdin=folder)
            self.assertEqual(done.errors,
                             f"{command[0]}: cannot read standard input: Is a directory.\n")

    def test_every_dialect_and_a_printable_id(self):
        for dialect in ("auto", "g1", "0.2", "0.1"):
            done = self.ask("mdclient", "--dialect", dialect, "--printable-id", "echo", "hello")
            self.assertEqual(done.text, "hello\n")

    def test_exit_codes_and_sentences(self):
        rows = (
            (1, ["fail", "x"], r"'fail' answered 500"),
            (2, [], r"SERVICE is missing"),
            (2, ["--dialect", "0.3", "echo"], r"none of auto, g1, 0.2 or 0.1"),
            (2, ["--timeot", "1", "echo"], r"did you mean --timeout"),
            (2, ["--broker", "localhost:5555", "echo"], r"looks like tcp://127.0.0.1:5555"),
            (2, ["--broker", "tcp://127.0.0.1:99999", "echo"], r"no endpoint; one looks like tcp"),
            (2, ["--broker", "tcp://127.0.0.1:0", "echo"], r"no endpoint; one looks like tcp"),
            (2, ["a\tb"], r"can be no service's name: .* printable UTF-8"),
            (3, ["--dialect", "0.1", "--timeout", "100", "none"], r"no answer from 'none'"),
            (4, ["--timeout", "200", "none"],
             rf"nobody serves 'none'.*\nStart a worker: mdworker --broker {self.endpoint} none\. "
             rf"What is served: galleon --broker {self.endpoint} service ls\."),
            (4, ["--timeout", "200", "titanic.x"], r"nobody serves 'titanic.x'.*\nWhat is served"),
        )
        for code, arguments, sentence in rows:
            with self.subTest(arguments=arguments):
                done = self.ask("mdclient", *arguments, code=code)
                self.assertRegex(done.errors, sentence)
                self.assertEqual(done.text, "")

    def test_no_broker_is_a_timeout_that_says_what_to_look_at(self):
        done = run("mdclient", "--broker", "tcp://127.0.0.1:1", "--timeout", "100",
                   "--attempts", "2", "echo")
        self.assertEqual(done.returncode, 3)
        self.assertRegex(done.errors, r"no answer.*\n.*galleon ping")

    def test_output_that_cannot_be_written_is_a_failure(self):
        with open("/dev/full", "wb") as full:
            done = run("mdclient", "--broker", self.endpoint, "echo", "x", stdout=full,
                       stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 1)
        self.assertIn("cannot write", done.errors)


class Galleon(Programs):

    def table(self, *arguments):
        lines = self.ask("galleon", *arguments).text.splitlines()
        return [line.split() for line in lines], lines

    def test_call_prints_lines_or_json(self):
        self.assertEqual(self.ask("galleon", "call", "echo", "a", "b").text, "a\nb\n")
        body = ['quote " backslash \\ tab \t', "line\nfeed \x1b[31m \x7f", "", "Grüße ✓ \U0001f600"]
        found = json.loads(self.ask("galleon", "--json", "call", "echo", *body).text)
        self.assertEqual((found["service"], found["status"], found["body"]), ("echo", 200, body))
        self.assertGreater(found["ms"], 0)
        for size in range(1, 8):
            raw = bytes([0xff, 0, 0x80, 0xc0, 0xed, 0xa0, 0x80][:size])
            done = self.ask("galleon", "--json", "call", "echo", "-", input=raw)
            self.assertEqual(base64.b64decode(json.loads(done.text)["body"][0]["base64"]), raw)

    def test_ping_asks_each_broker(self):
        self.assertRegex(self.ask("galleon", "ping").text,
                         r"^\S+: answers in [\d.]+ ms, speaks 0.1 0.2 g1\n$")
        done = self.ask("galleon", "--broker", "tcp://127.0.0.1:1", "--timeout", "100",
                        "--json", "ping", code=3)
        found = json.loads(done.text)
        self.assertEqual([one["result"] == "ok" for one in found], [True, False])
        self.assertEqual(found[0]["dialects"], "0.1 0.2 g1")
        done = self.ask("galleon", "--broker", "tcp://127.0.0.1:1", "--timeout", "100",
                        "ping", code=3)
        self.assertRegex(done.errors, r"no broker answers at tcp://127.0.0.1:1\.")

    def test_tables_are_aligned_and_json_has_the_same(self):
        for command in (["service", "ls"], ["worker", "ls"], ["worker", "ls", "echo"], ["stat"]):
            with self.subTest(command=command):
                rows, lines = self.table(*command)
                found = json.loads(self.ask("galleon", "--json", *command).text)
                self.assertEqual(len(found), len(rows) - 1)
                self.assertEqual(list(found[0]), rows[0])
                first = [re.match(r" *\S+", line).end() for line in lines]
                numbers = all(row[0].isdigit() for row in rows[1:])
                if numbers:
                    self.assertEqual(len(set(first)), 1)    # at the right
                else:
                    starts = {re.match(r"\S+ +", line).end() for line in lines[:1]}
                    self.assertTrue(all(line[min(starts) - 1] == " " for line in lines))
        services = {row["service"]: row for row in
                    json.loads(self.ask("galleon", "--json", "service", "ls").text)}
        self.assertEqual(services["echo"]["workers"], 1)
        workers = json.loads(self.ask("galleon", "--json", "worker", "ls", "echo").text)
        self.assertEqual([worker["service"] for worker in workers], ["echo"])
        self.assertGreater(workers[0]["age_ms"], 0)
        self.assertLess(workers[0]["age_ms"], PATIENCE * 1000)

    def test_bench_counts_what_it_was_told_to(self):
        for arguments in ([], ["--clients", "3", "--window", "7", "--size", "0"],
                          ["--dialect", "0.1"], ["--window", "1", "--size", "20000"]):
            with self.subTest(arguments=arguments):
                done = self.ask("galleon", "--json", "bench", "call", "echo", "--requests", "100",
                                *arguments)
                found = json.loads(done.text)
                self.assertEqual((found["answers"], found["lost"]), (100, 0))
                self.assertGreater(found["rate"], 0)
                self.assertLessEqual(found["p50_ms"], found["p99_ms"])
                self.assertLessEqual(found["p99_ms"], found["max_ms"] + 0.001)
        done = self.ask("galleon", "--json", "bench", "call", "echo", "--clients", "400",
                        "--window", "1", "--requests", "800", "--timeout", "30000")
        self.assertEqual(json.loads(done.text)["answers"], 800)
        done = self.ask("galleon", "bench", "call", "echo", "--seconds", "1")
        for word in ("rate", "p50", "p99", "lost"):
            self.assertRegex(done.text, rf"(?m)^{word} +[\d.]+")

    def test_bench_of_a_service_that_fails_says_so(self):
        done = self.ask("galleon", "bench", "call", "fail", code=1)
        self.assertIn("answered 500", done.errors)
        done = self.ask("galleon", "bench", "call", "ecko", "--timeout", "100", code=4)
        self.assertIn("did you mean 'echo'?", done.errors)

    def test_mistyped_words_are_named(self):
        rows = (
            (2, ["srvice", "ls"], "no command 'srvice ls'; did you mean 'service ls'?"),
            (2, ["service"], "did you mean 'service ls'?"),
            (2, ["worker", "list"], "did you mean 'worker ls'?"),
            (2, ["cal", "echo"], "no command 'cal'; did you mean 'call'?"),
            (2, ["bench", "cal", "echo"], "did you mean 'bench call'?"),
            (2, ["juggle"], "there is no command 'juggle'."),
            (2, ["submit"], "'submit' needs a service"),
            (2, [], "a COMMAND is missing."),
            (2, ["call"], "'call' needs a service"),
            (2, ["ping", "x"], "'ping' takes no 'x'."),
            (2, ["worker", "ls", "a", "b"], "'worker ls' takes no 'b'."),
            (2, ["call", "a\nb"], "can be no service's name"),
            (2, ["call", "echo", "--window", "3"],
             "--window is an option of 'bench call', 'bench submit', 'bench durable'"),
            (2, ["bench", "call", "echo", "--seconds", "1", "--requests", "1"], "give one of them"),
            (2, ["bench", "submit", "echo", "--endpoint", "tcp://127.0.0.1:1"],
             "--endpoint is an option of 'bench call', not of 'bench submit'"),
            (2, ["bench", "call", "--endpoint", "tcp://127.0.0.1:1"],
             "--endpoint and --broker: give one of them"),
            (2, ["--jsn", "ping"], "did you mean --json?"),
            (2, ["ha"], "did you mean 'ha "),
            (2, ["ha", "status", "x"], "'ha status' takes no 'x'."),
            (2, ["ha", "demote", "--peer-is-dead"],
             "--peer-is-dead is an option of 'ha promote', not of 'ha demote'"),
            (2, ["ha", "demote", "--broker", self.endpoint],
             "'ha demote' is said to one half: give one --broker."),
            (1, ["ha", "status"], f"the broker at {self.endpoint} is no half of a pair"),
            (1, ["ha", "promote"], f"the broker at {self.endpoint} is no half of a pair"),
            (4, ["call", "--timeout", "100", "ecko"], "did you mean 'echo'?"),
            (4, ["--dialect", "0.1", "call", "--timeout", "100", "ecko"], "did you mean 'echo'?"),
            (4, ["worker", "ls", "ecko"], "did you mean 'echo'?"),
            (4, ["call", "--timeout", "100", "zzzzzz"],
             f"Start a worker: mdworker --broker {self.endpoint} zzzzzz. "
             f"What is served: galleon --broker {self.endpoint} service ls."),
            (4, ["call", "--timeout", "100", "titanic.x"],
             f"nobody serves 'titanic.x' at {self.endpoint}.\nWhat is served"),
        )
        for code, arguments, sentence in rows:
            with self.subTest(arguments=arguments):
                done = self.ask("galleon", *arguments, code=code)
                self.assertIn(sentence, done.errors)
                self.assertEqual(done.text, "")

    def test_failures_are_json_too(self):
        found = json.loads(self.ask("galleon", "--json", "call", "fail", code=1).text)
        self.assertEqual((found["service"], found["status"]), ("fail", 500))
        found = json.loads(self.ask("galleon", "--json", "call", "--timeout", "100", "ecko",
                                    code=4).text)
        self.assertEqual(found["status"], 404)
        self.assertEqual(json.loads(self.ask("galleon", "--json", "worker", "ls", "ecko",
                                             code=4).text), [])

    def test_help_and_version(self):
        for name in ("galleon", "mdclient"):
            self.assertIn("usage: " + name, self.ask(name, "--help").text)
            self.assertRegex(self.ask(name, "--version").text, rf"^{name} \d+\.\d+\.\d+\n$")

    def test_help_says_which_options_exclude_each_other(self):
        text = self.ask("galleon", "--help").text
        self.assertRegex(text, r"--seconds N +bench: .*not with --requests")
        self.assertRegex(text, r"--requests N +bench: .*not with --seconds")

    def test_the_manual_has_every_option(self):
        for name in ("galleon", "mdclient"):
            page = (ROOT / "docs" / "man" / f"{name}.1").read_text().replace("\\-", "-")
            options = set(re.findall(r"^  --([a-z-]+)", self.ask(name, "--help").text, re.MULTILINE))
            manual = set(re.findall(r"^\.BI? --([a-z-]+)", page, re.MULTILINE))
            self.assertEqual(options, manual)


class LargeMessages(unittest.TestCase):
    """Beyond --max-message: refused before it leaves, because the broker would cut the sender."""

    def start(self, *arguments):
        broker = Daemon("mdbroker", "--bind", "tcp://127.0.0.1:*", *arguments)
        self.addCleanup(broker.stop)
        worker = subprocess.Popen(serving("mdworker", "--broker", broker.endpoint, "echo"),
                                  stdin=subprocess.DEVNULL)
        self.addCleanup(worker.wait, PATIENCE)
        self.addCleanup(worker.terminate)
        return broker.endpoint

    def test_a_request_is_refused_by_its_client(self):
        endpoint = self.start()
        most = (1 << 20) - 512 - 4
        done = run("mdclient", "--broker", endpoint, "echo", "-", input=b"x" * most)
        self.assertEqual((done.returncode, len(done.stdout)), (0, most + 1), done.errors)
        for name in ("mdclient", "galleon"):
            words = ["call", "echo", "-"] if name == "galleon" else ["echo", "-"]
            done = run(name, "--broker", endpoint, *words, input=b"x" * (most + 1))
            self.assertEqual(done.returncode, 1)
            self.assertIn("413", done.errors)
            self.assertIn("--max-message", done.errors)

    def test_an_answer_is_refused_by_its_worker(self):
        endpoint = self.start("--max-message", "4000000")
        bench = subprocess.Popen([path("galleon"), "--broker", endpoint, "--json", "bench", "call",
                                  "echo", "--requests", "5000"], stdout=subprocess.PIPE)
        self.addCleanup(bench.stdout.close)
        self.addCleanup(bench.kill)
        for _ in range(3):
            done = run("mdclient", "--broker", endpoint, "--max-message", "4000000",
                       "echo", "-", input=b"x" * 2000000)
            self.assertEqual(done.returncode, 1)
            self.assertIn("413", done.errors)
        found = json.loads(bench.communicate(timeout=PATIENCE)[0])
        self.assertEqual((found["answers"], found["lost"]), (5000, 0))
        stat = json.loads(run("galleon", "--broker", endpoint, "--json", "stat").text)
        stat = {row["name"]: row["value"] for row in stat}
        self.assertEqual((stat["workers_lost"], stat["redeliveries"]), (0, 0))


class Terminals(Programs):

    def seen(self, name, *arguments):
        """Run a program whose standard output is a terminal: what it is given."""
        ours, theirs = pty.openpty()
        try:
            done = self.ask(name, *arguments, stdout=theirs, stderr=subprocess.PIPE)
            self.assertEqual(done.errors, "")
        finally:
            os.close(theirs)
        text = b""
        try:
            while piece := os.read(ours, 4096):
                text += piece
        except OSError:             # EIO is the end
            pass
        os.close(ours)
        return text.replace(b"\r\n", b"\n")

    def test_a_reply_does_nothing_to_a_terminal(self):
        raw = b"\x1b]0;owned\x07\x1b[2J\ttab\nline\rover\x7f \xc2\x9b31m\x9b31m Gr\xc3\xbc\xc3\x9fe"
        safe = b"?]0;owned??[2J\ttab\nline?over? ?31m?31m Gr\xc3\xbc\xc3\x9fe\n"
        for command in (["mdclient"], ["galleon", "call"]):
            with self.subTest(command=command):
                self.assertEqual(self.ask(*command, "echo", raw).stdout, raw + b"\n")
                # The terminal makes columns of tabs.
                self.assertEqual(self.seen(*command, "echo", raw).expandtabs(), safe.expandtabs())


class Addresses(unittest.TestCase):

    def assert_serves(self, bind, connect):
        """Call through a broker bound to `bind`, connecting to `connect`; {} is its port."""
        broker = Daemon("mdbroker", "--bind", bind.format("*"))
        self.addCleanup(broker.stop)
        endpoint = connect.format(broker.endpoint.rpartition(":")[2])
        worker = subprocess.Popen(serving("mdworker", "--broker", endpoint, "echo"),
                                  stdin=subprocess.DEVNULL)
        self.addCleanup(worker.wait, PATIENCE)
        self.addCleanup(worker.terminate)
        done = run("galleon", "--broker", endpoint, "ping")
        self.assertEqual(done.returncode, 0, done.errors)
        until = time.monotonic() + PATIENCE
        while (done := run("mdclient", "--broker", endpoint, "echo", "hello")).returncode == 4:
            self.assertLess(time.monotonic(), until)
        self.assertEqual(done.text, "hello\n", done.errors)

    def test_localhost_is_127_0_0_1(self):
        self.assert_serves("tcp://127.0.0.1:{}", "tcp://localhost:{}")

    def test_ipv6(self):
        try:
            with socket.socket(socket.AF_INET6) as one:
                one.bind(("::1", 0))
        except OSError:
            self.skipTest("this machine has no ::1")
        self.assert_serves("tcp://[::1]:{}", "tcp://[::1]:{}")


class OddBroker(threading.Thread):
    """A 0.1 broker that answers from a function: service and body frames to body frames."""

    def __init__(self, answer):
        super().__init__(daemon=True)
        self.answer = answer
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.ROUTER)
        self.socket.linger = 0
        self.socket.bind("tcp://127.0.0.1:*")
        self.endpoint = self.socket.last_endpoint.decode()
        self.ending = threading.Event()
        self.start()

    def run(self):
        while not self.ending.is_set():
            if self.socket.poll(20):
                who, _, header, service, *body = self.socket.recv_multipart()
                frames = self.answer(service, body)
                if frames is not None:
                    self.socket.send_multipart([who, b"", header, service, *frames])
        self.context.destroy(0)

    def stop(self):
        self.ending.set()
        self.join(PATIENCE)


class OtherBrokers(unittest.TestCase):

    def start(self, answer):
        broker = OddBroker(answer)
        self.addCleanup(broker.stop)
        return broker.endpoint

    def test_silence_is_told_apart(self):
        """Nobody there; a service that is too slow; a broker that does not say."""
        line = ["--timeout", "100", "--attempts", "2", "call", "slow"]
        done = run("galleon", "--broker", "tcp://127.0.0.1:1", "--broker", "tcp://127.0.0.1:2", *line)
        self.assertEqual(done.returncode, 3)
        self.assertIn("no broker answers at tcp://127.0.0.1:1,tcp://127.0.0.1:2.", done.errors)

        answers = {b"mmi.dialects": [b"501"], b"mmi.service": [b"200"]}
        endpoint = self.start(lambda service, body: answers.get(service))
        done = run("galleon", "--broker", endpoint, *line)
        self.assertEqual(done.returncode, 3)
        self.assertIn(f"no answer from 'slow' at {endpoint} in time", done.errors)
        self.assertIn("a worker serves it", done.errors)
        done = run("galleon", "--broker", "tcp://127.0.0.1:1", "--broker", endpoint, *line)
        self.assertIn("a worker serves it", done.errors)

        answers[b"mmi.service"] = [b"501"]
        done = run("galleon", "--broker", endpoint, *line)
        self.assertEqual(done.returncode, 3)
        self.assertRegex(done.errors, "no answer from 'slow'.*\n.*galleon ping")

    def test_all_pages_of_a_table_are_taken(self):
        rows = [b"service-%04d\t%d\n" % (n, n) for n in range(2500)]

        def answer(service, body):
            if service != b"mmi.services":
                return [b"501"]
            skip = int(body[0] or b"0") if body else 0
            return [b"200", b"service\tworkers\n" + b"".join(rows[skip:skip + 1000])]

        endpoint = self.start(answer)
        found = json.loads(run("galleon", "--broker", endpoint, "--json", "service", "ls").text)
        self.assertEqual([row["workers"] for row in found], list(range(2500)))
        lines = run("galleon", "--broker", endpoint, "service", "ls").text.splitlines()
        self.assertEqual(len(lines), 2501)
        self.assertEqual(len({len(line) for line in lines}), 1)

    def test_a_broker_without_tables_is_named_as_one(self):
        endpoint = self.start(lambda service, body: [b"501"])
        done = run("galleon", "--broker", endpoint, "service", "ls")
        self.assertEqual(done.returncode, 1)
        self.assertIn("does not know mmi.services", done.errors)
        for words, service in ((["service", "ls"], "mmi.services"), (["stat"], "mmi.stats"),
                               (["worker", "ls"], "mmi.workers")):
            done = run("galleon", "--broker", endpoint, "--json", *words)
            self.assertEqual(done.returncode, 1)
            found = json.loads(done.text)
            self.assertEqual((found["service"], found["status"]), (service, 501))
            self.assertTrue(found["error"])
        done = run("galleon", "--broker", endpoint, "ping")
        self.assertEqual(done.returncode, 0)
        self.assertIn("speaks 0.1", done.text)

    def test_what_a_broker_sends_does_no_harm(self):
        tables = [
            b"", b"\n", b"\n\n\n", b"\t\t\t\n\t\n", b"service\n\x1b[2J\n\xff\xfe\nx\ty\tz\n",
            b"service\tworkers\n" + "n\u0085\u009b2J\t0\n".encode(), b"a\tb\nno end",
            b"\x00\t\x00\n\x00",
            b"name\tvalue\nx\t00012\ny\t99999999999999999999999\nz\t-1\n",
        ]
        for frames in [[b"200", table] for table in tables] + [[b"200"], [b"\xff\x1b"], [b""]]:
            with self.subTest(frames=frames):
                endpoint = self.start(lambda service, body, frames=frames:
                                      [b"501"] if service == b"mmi.dialects" else frames)
                done = run("galleon", "--broker", endpoint, "stat")
                self.assertIn(done.returncode, (0, 1))
                self.assertNotIn("\x1b", done.text + done.errors)
                self.assertNotRegex(done.text, "[\u0080-\u009f]")
                done = run("galleon", "--broker", endpoint, "--json", "stat")
                self.assertNotIn("\x1b", done.text)
                if done.returncode == 0:
                    json.loads(done.text)


if __name__ == "__main__":
    if not os.access(path("mdbroker"), os.X_OK):
        sys.exit(f"no mdbroker in {FOLDER}: build first, or say where it is in GALLEON_BIN")
    unittest.main()
