"""Two mdbrokers as a pair, as processes: who serves, who takes over, and what is lost of it.

    GALLEON_BIN=build/asan /usr/bin/python3 tests/interop/test_pair.py [-v]
"""

import json
import pathlib
import signal
import tempfile
import threading
import unittest

from peers import DEADLINE, Silence
from support import PeerTest, Program, run

NAMES = ("primary", "backup")
ATTEMPT = 0.5               # s, of a client that repeats


class PairTest(PeerTest):
    """A folder with the sockets of a pair. Clients and workers are given both halves."""

    options = ()

    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory(prefix="galleon-pair-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.endpoint = {name: f"ipc://{self.folder}/{name}" for name in NAMES}
        self.halves = {}

    def both(self):
        return ",".join(self.endpoint.values())

    def other(self, name):
        return NAMES[1 - NAMES.index(name)]

    def open_half(self, name, *more):
        other = self.other(name)
        half = Program("mdbroker", "--bind", self.endpoint[name], "--pair", name,
                       "--pair-bind", f"ipc://{self.folder}/{name}-pair",
                       "--pair-peer", f"ipc://{self.folder}/{other}-pair",
                       "--pair-redirect", self.endpoint[other], *self.options, *more)
        self.halves[name] = half
        self.start(half, "kill")
        half.ready()
        return half

    def status(self, name):
        """Return what a half says of itself, None where it does not."""
        code, output, _ = run("galleon", "--json", "--timeout", "1000", "--attempts", "1",
                              "--broker", self.endpoint[name], "ha", "status")
        return json.loads(output)[0] if code == 0 else None

    def wait_for_state(self, name, state):
        return self.until(lambda: (found := self.status(name)) and found["state"] == state
                          and found, f"{name} {state}")

    def say(self, name, *words):
        return run("galleon", "--broker", self.endpoint[name], "ha", *words)

    def start_worker(self, *arguments):
        worker = self.start(Program("mdworker", "--broker", self.both(), *arguments), "kill")
        for name in self.halves:
            asking = self.client("g1", self.endpoint[name])
            self.until(lambda asking=asking: asking.call(b"mmi.service", [b"echo"]).body == [b"200"],
                       f"a worker at {name}")
        return worker

    def call_until_served(self, dialect, *names):
        """Call at one half and the other, as a client that repeats, until there is an answer."""
        clients = [self.client(dialect, self.endpoint[name]) for name in names]
        for at in range(round(DEADLINE / ATTEMPT)):
            try:
                answer = clients[at % len(clients)].call(b"echo", [b"hello"], ATTEMPT)
            except Silence:
                continue
            if answer.status == 200:
                return answer
        return self.fail("nobody serves")

    def call_meanwhile(self, do, *options):
        """Call one request after another while do() happens; return how many were answered."""
        calls, failures = [], []
        is_over = threading.Event()

        def call():
            while not is_over.is_set():
                code, output, errors = run("mdclient", "--broker", self.both(), "--attempts", "20",
                                           *options, "echo", f"number {len(calls)}")
                if (code, output) != (0, f"number {len(calls)}\n".encode()):
                    failures.append((code, output, errors))
                calls.append(code)

        caller = threading.Thread(target=call)
        caller.start()
        try:
            do()
            wanted = len(calls) + 3
            self.until(lambda: len(calls) >= wanted, "calls after it")
        finally:
            is_over.set()
            caller.join(2 * DEADLINE)
        self.assertEqual(failures, [])


class Classic(PairTest):
    """Two halves: silence and a client's vote decide."""

    options = ("--pair-heartbeat", "100")

    def open_pair(self):
        for name in NAMES:
            self.open_half(name)
        self.wait_for_state("primary", "ACTIVE")
        self.wait_for_state("backup", "PASSIVE")

    def test_one_half_serves_and_the_other_names_it(self):
        self.open_pair()
        self.start_worker("echo")
        answer = self.client("g1", self.endpoint["primary"]).call(b"echo", [b"hello"])
        self.assertEqual((answer.status, answer.body), (200, [b"hello"]))

        passive = self.client("g1", self.endpoint["backup"]).call(b"echo", [b"hello"])
        self.assertEqual((passive.status, passive.body),
                         (503, [self.endpoint["primary"].encode()]))
        silent = self.client("0.1 dealer", self.endpoint["backup"])
        self.assertRaises(Silence, silent.call, b"echo", [b"hello"], 0.5)
        self.assertEqual(self.status("backup")["state"], "PASSIVE")

    def is_replaced(self, dialect):
        self.open_pair()
        self.start_worker("echo")
        self.assertEqual(self.call_until_served(dialect, "primary").body, [b"hello"])

        self.halves["primary"].kill()

        self.assertEqual(self.call_until_served(dialect, "primary", "backup").body, [b"hello"])
        self.assertEqual(self.status("backup")["state"], "ACTIVE")
        self.open_half("primary")
        self.wait_for_state("primary", "PASSIVE")   # it does not take its place back

    def test_a_half_that_is_killed_is_replaced_when_a_01_client_asks(self):
        self.is_replaced("0.1 dealer")

    def test_a_half_that_is_killed_is_replaced_when_a_02_client_asks(self):
        self.is_replaced("0.2")

    def test_a_half_that_is_killed_is_replaced_when_a_g1_client_asks(self):
        self.is_replaced("g1")

    def test_a_planned_switch_loses_no_request(self):
        self.open_pair()
        self.start_worker("echo")

        def switch():
            for name in ("primary", "backup"):
                code, _, errors = self.say(name, "demote")
                self.assertEqual(code, 0, errors)
                self.wait_for_state(self.other(name), "ACTIVE")
                self.wait_for_state(name, "PASSIVE")

        self.call_meanwhile(switch)
        self.call_meanwhile(switch, "--dialect", "0.1", "--timeout", "500")

    def test_a_half_that_is_told_to_end_hands_over(self):
        self.open_pair()
        self.start_worker("echo")

        def end():
            self.halves["primary"].stop()
            self.wait_for_state("backup", "ACTIVE")

        self.call_meanwhile(end)

    def test_what_classic_has_not_is_refused_with_a_reason(self):
        self.open_pair()
        for words in (["freeze"], ["thaw"], ["promote", "--peer-is-dead"]):
            code, _, errors = self.say("primary", *words)
            self.assertEqual(code, 1)
            self.assertIn("answered 409: ", errors)
        code, _, errors = self.say("backup", "promote")
        self.assertEqual(code, 1)
        self.assertIn("answered 409: ", errors)

    def test_two_primaries_halt_and_say_so_to_clients(self):
        self.open_half("primary")
        self.options = (*self.options, "--pair", "primary")
        self.open_half("backup")
        for name in NAMES:
            found = self.wait_for_state(name, "HALTED")
            self.assertNotEqual(found["why"], "")
            answer = self.client("g1", self.endpoint[name]).call(b"echo", [b"hello"])
            self.assertEqual((answer.status, answer.body), (503, [found["why"].encode()]))


class Guarded(PairTest):
    """Two halves and a witness: two of three votes."""

    def open_half(self, name, *more):
        return super().open_half(name, "--witness", f"ipc://{self.folder}/witness",
                                 "--pair-state", f"{self.folder}/{name}-vote", *more)

    def open_pair(self):
        self.witness = self.start(Program(
            "starwitness", "--bind", f"ipc://{self.folder}/witness",
            "--state", f"{self.folder}/witness-vote", "--pair-init"), "kill")
        self.witness.ready()
        for name in NAMES:
            self.open_half(name, "--pair-init")
        return self.until(lambda: next((name for name in NAMES if (found := self.status(name))
                                        and found["state"] == "ACTIVE"), None), "one ACTIVE half")

    def test_what_is_served_carries_the_epoch_which_rises(self):
        active = self.open_pair()
        workers = {name: self.worker("g1", self.endpoint[name], b"echo", credit=1)
                   for name in NAMES}
        epochs = []
        for name in (active, self.other(active)):
            client = self.client("g1", self.endpoint[name])
            self.until(lambda client=client: client.call(
                b"mmi.service", [b"echo"]).body == [b"200"], "the worker")
            request_id = client.request(b"echo", [b"hello"], fields=b"zone: b\n")
            client.flush()
            request = workers[name].take()
            epoch, zone, rest = request.fields.split(b"\n")
            self.assertEqual((zone, rest), (b"zone: b", b""))
            pair, number = epoch.removeprefix(b"epoch: ").split(b":")
            self.assertEqual(len(pair), 16)
            epochs.append(int(number))
            workers[name].final(request, [b"done"])
            workers[name].flush()
            record = client.next_record()
            self.assertEqual((record.id, record.status, record.fields),
                             (request_id, 200, epoch + b"\n"))
            if name == active:
                self.halves[name].kill()
                self.wait_for_state(self.other(name), "ACTIVE")
        self.assertLess(epochs[0], epochs[1])

    def test_a_planned_switch_loses_no_request(self):
        active = self.open_pair()
        self.start_worker("echo")

        def switch():
            code, _, errors = self.say(active, "demote")
            self.assertEqual(code, 0, errors)
            self.wait_for_state(self.other(active), "ACTIVE")

        self.call_meanwhile(switch)

    def test_a_half_that_was_frozen_serves_nothing_that_waited_for_it(self):
        active = self.open_pair()
        worker = self.worker("g1", self.endpoint[active], b"echo", credit=4)
        client = self.client("g1", self.endpoint[active])
        self.until(lambda: client.call(b"mmi.service", [b"echo"]).body == [b"200"], "the worker")
        self.halves[active].signal(signal.SIGSTOP)
        stale = [client.request(b"echo", [b"stale"]) for _ in range(10)]
        client.flush()
        self.wait_for_state(self.other(active), "ACTIVE")

        self.halves[active].signal(signal.SIGCONT)

        for request_id in stale:
            self.assertEqual(client.answer(request_id).status, 503)
        self.assertRaises(Silence, worker.take, 0.5)
        self.until(lambda: self.status(active)["state"] != "ACTIVE", "it knows")

    def test_a_half_without_its_record_serves_nobody_and_says_why(self):
        active = self.open_pair()
        passive = self.other(active)
        self.halves[passive].kill()
        (self.folder / f"{passive}-vote").unlink()
        self.open_half(passive)
        found = self.wait_for_state(passive, "FAULT")
        self.assertNotEqual(found["why"], "")
        answer = self.client("g1", self.endpoint[passive]).call(b"echo", [b"hello"])
        self.assertEqual((answer.status, answer.body), (503, [found["why"].encode()]))
        code, _, errors = self.say(passive, "clear")
        self.assertEqual(code, 1)
        self.assertIn("answered 409: ", errors)


if __name__ == "__main__":
    unittest.main()
