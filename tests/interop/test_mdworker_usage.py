"""mdworker's command line, and how it leaves.

    GALLEON_BIN=build/asan /usr/bin/python3 tests/interop/test_mdworker_usage.py [-v]
"""

import os
import pathlib
import signal
import tempfile
import time
import unittest

from support import BrokerTest, Program, run

OPTIONS = ["broker", "credit", "threads", "heartbeat", "dialect", "printable-id", "no-disconnect",
           "max-message", "log-level", "help", "version"]

GRACE = 15      # seconds; it gives itself 5, and a moment to kill and to write


class Usage(unittest.TestCase):
    """It ends at once, with a sentence that says what to do."""

    def fails(self, *arguments, says):
        code, _, errors = run("mdworker", *arguments)
        self.assertEqual(code, 2, errors)
        self.assertIn(says, errors)

    def test_help_names_every_option(self):
        code, output, _ = run("mdworker", "--help")
        self.assertEqual(code, 0)
        for option in OPTIONS:
            self.assertIn(f"--{option}", output.decode())

    def test_version(self):
        code, output, _ = run("mdworker", "--version")
        self.assertEqual(code, 0)
        self.assertRegex(output.decode(), r"\d+\.\d+\.\d+")

    def test_what_is_wrong_is_named(self):
        self.fails(says="SERVICE")
        self.fails("echo", "cat", says="behind --")
        self.fails("--brocker", "tcp://127.0.0.1:5555", "echo", says="--broker")
        self.fails("--broker", "127.0.0.1:5555", "echo", says="tcp://127.0.0.1:5555")
        self.fails("--credit", "0", "echo", says="from 1 to")
        self.fails("--credit", "2", "--dialect", "0.1", "echo", says="--dialect g1")
        self.fails("--dialect", "1.0", "echo", says="auto, g1, 0.2 or 0.1")
        self.fails("--max-message", "1023", "echo", says="from 1024 to 1099511627776")
        self.fails("--threads", "many", "echo", says="whole number")

    def test_a_name_that_no_service_can_have_is_named(self):
        for name in "", "line\nfeed", "x" * 256, "\udcff":
            self.fails(name, says="1 to 255 bytes of UTF-8 without control characters")
        for name in "mmi.service", "mmi.", "titanic.request":
            self.fails(name, says="mmi.* and titanic.* are reserved")


def is_running(pid):
    """Nobody may have reaped it yet: a zombie does not run."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


class Commands:
    """Commands that say who they are, and run for a minute, as a child of each does."""

    def __init__(self, test, before=":"):
        folder = tempfile.TemporaryDirectory()
        test.addCleanup(folder.cleanup)
        test.addCleanup(self.kill)
        self.file = pathlib.Path(folder.name, "pids")
        self.file.touch()
        self.argv = ["sh", "-c", f"{before}; sleep 60 & echo $$ $! >> {self.file}; wait; sleep 60"]

    def pids(self):
        return [int(pid) for pid in self.file.read_text().split()]

    def running(self):
        return [pid for pid in self.pids() if is_running(pid)]

    def kill(self):
        for pid in self.running():
            os.kill(pid, signal.SIGKILL)


class Serving(BrokerTest):
    """What a broker sees of it."""

    def mdworker(self, *arguments, end="stop"):
        return self.start(Program("mdworker", "--broker", self.endpoint, *arguments), end)

    def test_each_thread_is_a_worker(self):
        service = self.name()
        self.mdworker("--threads", 3, "--credit", 5, service.decode())
        self.wait_for_row(service, workers=3)
        rows = self.table(b"workers", service)
        self.assertEqual([row["credit"] for row in rows], ["5", "5", "5"])

    def test_256_threads_find_a_socket_each(self):
        service = self.name()
        self.mdworker("--threads", 256, service.decode())
        self.wait_for_row(service, workers=256)

    def test_max_message_bounds_what_a_command_writes(self):
        service = self.name()
        self.mdworker("--dialect", "g1", "--max-message", 4516, service.decode(), "--",
                      "sh", "-c", "head -c $(cat) /dev/zero")
        self.wait_for_service(service)
        client = self.client("g1")
        answer = client.call(service, [b"4000"])
        self.assertEqual((answer.status, answer.body), (200, [bytes(4000)]))
        answer = client.call(service, [b"4001"])
        self.assertEqual((answer.status, answer.body),
                         (413, [b"the output has more than 4000 bytes"]))

    def test_largest_output_by_default_passes_the_broker(self):
        service = self.name()
        self.mdworker("--dialect", "g1", service.decode(), "--",
                      "head", "-c", 1048576 - 516, "/dev/zero")
        self.wait_for_service(service)
        answer = self.client("g1").call(service, [])
        self.assertEqual((answer.status, answer.body), (200, [bytes(1048576 - 516)]))

    def test_commands_end_as_they_do_where_a_parent_ignored_its_children(self):
        service = self.name()
        before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        try:
            self.mdworker("--dialect", "g1", service.decode(), "--", "sh", "-c", "exit 3")
        finally:
            signal.signal(signal.SIGCHLD, before)
        self.wait_for_service(service)
        answer = self.client("g1").call(service, [b"Hi"])
        self.assertEqual((answer.status, answer.body), (500, [b"exit status 3"]))

    def gated(self, service):
        """A worker whose command says that it runs, and waits until the gate is opened."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        runs, gate = pathlib.Path(folder.name, "runs"), pathlib.Path(folder.name, "gate")
        os.mkfifo(gate)
        script = f"touch {runs}; cat {gate} > /dev/null; cat"
        worker = self.mdworker("--dialect", "g1", service.decode(), "--", "sh", "-c", script)
        self.wait_for_service(service)
        return worker, runs.exists, gate

    def test_sigterm_lets_it_finish_what_it_has(self):
        service = self.name()
        worker, runs, gate = self.gated(service)
        client = self.client("g1")
        request = client.request(service, [b"Hi"])
        client.flush()
        self.until(runs, "the command")
        worker.signal()
        gate.write_bytes(b"go")
        self.assertEqual(client.answer(request).body, [b"Hi"])
        self.assertEqual(worker.wait(), 0)
        self.wait_for_service(service, registered=False)

    def hanging(self, service, **commands):
        """A worker whose command runs, and the request that waits for it."""
        commands = Commands(self, **commands)
        worker = self.mdworker("--dialect", "g1", service.decode(), "--", *commands.argv)
        self.wait_for_service(service)
        client = self.client("g1")
        request = client.request(service, [b"Hi"])
        client.flush()
        self.until(lambda: len(commands.pids()) == 2, "the command")
        return worker, commands, lambda: client.answer(request)

    def test_a_command_that_would_run_on_is_stopped_after_5_seconds(self):
        # Hangs; ignores SIGTERM; has closed its output; has ended, and its child has not.
        hanging = [self.hanging(self.name(str(number)), before=before) for number, before
                   in enumerate([":", "trap '' TERM", "exec >&-", "wait() { exit; }"])]
        start = time.monotonic()
        for worker, _, _ in hanging:
            worker.signal()
        for worker, commands, wait_for_answer in hanging:
            answer = wait_for_answer()
            self.assertEqual((answer.status, answer.body), (500, [b"stopped while it ran"]))
            self.assertEqual(worker.wait(), 0)
            self.assertEqual(commands.running(), [])
            self.assertTrue(4.9 < time.monotonic() - start < GRACE)

    def test_a_terminal_that_hangs_up_ends_it_in_order(self):
        service = self.name()
        worker, runs, gate = self.gated(service)
        client = self.client("g1")
        request = client.request(service, [b"Hi"])
        client.flush()
        self.until(runs, "the command")
        worker.signal(signal.SIGHUP)
        time.sleep(0.1)     # two of them, and not one that is pending twice
        worker.signal(signal.SIGHUP)
        gate.write_bytes(b"go")
        self.assertEqual(client.answer(request).body, [b"Hi"])
        self.assertEqual(worker.wait(), 0)

    def test_under_nohup_it_serves_on(self):
        service = self.name()
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self.addCleanup(signal.signal, signal.SIGHUP, before)
        worker = self.mdworker(service.decode())
        self.wait_for_service(service)
        worker.signal(signal.SIGHUP)
        self.assertEqual(self.client("g1").call(service, [b"Hi"]).body, [b"Hi"])
        self.assertIsNone(worker.process.poll())

    def test_what_it_has_not_begun_goes_to_others(self):
        service = self.name()
        worker = self.mdworker("--dialect", "g1", "--credit", 30, service.decode(), "--",
                               "sh", "-c", "sleep 2; cat")
        self.wait_for_service(service)
        client = self.client("g1")
        ids = [client.request(service, [b"%d" % number]) for number in range(30)]
        client.flush()
        self.wait_for_row(service, out=30)
        start = time.monotonic()
        worker.signal()
        self.assertEqual(worker.wait(), 0)
        self.assertLess(time.monotonic() - start, GRACE)
        self.mdworker(service.decode())
        answers = [client.answer(request) for request in ids]
        stopped = [answer for answer in answers if answer.status != 200]
        self.assertLessEqual(len(stopped), 1)
        for answer in stopped:
            self.assertEqual(answer.body, [b"stopped while it ran"])
        for number, answer in enumerate(answers):
            if answer not in stopped:
                self.assertEqual(answer.body, [b"%d" % number])

    def test_a_second_signal_ends_it_and_its_commands_at_once(self):
        service = self.name()
        commands = Commands(self)
        worker = self.mdworker("--dialect", "g1", "--threads", 3, service.decode(), "--",
                               *commands.argv, end="kill")
        self.wait_for_row(service, workers=3)
        client = self.client("g1")
        for _ in range(3):
            client.request(service, [b"Hi"])
        client.flush()
        self.until(lambda: len(commands.running()) == 6, "the commands")
        worker.signal()
        worker.signal()
        # Two signals in a row may be seen as one.
        self.until(lambda: worker.signal() or worker.process.poll() is not None, "its end")
        self.assertEqual(worker.process.returncode, 1)
        self.until(lambda: not commands.running(), "their end")

    def test_requests_of_others_go_on_when_it_leaves(self):
        service = self.name()
        first = self.mdworker("--credit", 100, service.decode())
        self.mdworker("--credit", 100, service.decode())
        self.wait_for_row(service, workers=2)
        client = self.client("g1")
        ids = [client.request(service, [b"%d" % number]) for number in range(900)]
        first.signal()
        self.assertEqual([client.answer(request).body for request in ids],
                         [[b"%d" % number] for number in range(900)])
        self.assertEqual(first.wait(), 0)


if __name__ == "__main__":
    unittest.main()
