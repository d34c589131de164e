"""titanic that is killed, doubled, drained, and left by its broker.

    GALLEON_BIN=build/asan /usr/bin/python3 tests/interop/test_titanic_life.py [-v] [Class[.test]]

Each test has a broker, a store and titanics of its own.
"""

import os
import signal
import threading
import time
import unittest

from durable import LifeTest, rows
from peers import DEADLINE, ClientG1, Silence

LONG = int(os.environ.get("GALLEON_SLOW_SECONDS", "0"))     # 60 in the tests with label long


class Restart(LifeTest):
    """What was acknowledged is there after kill -9."""

    def restart(self, *arguments):
        self.titanic.kill()
        self.titanic = self.start_titanic(*arguments)

    def table(self):
        """Return what titanic.list says of each request, but for what time changes."""
        status, table = self.ask(b"list", b"")
        self.assertEqual(status, b"200")
        return {row["id"]: (row["service"], row["state"], row["reason"]) for row in rows(table)}

    def test_every_state_is_kept(self):
        self.titanic = self.start_titanic()
        self.serve("g1", self.endpoint, b"echo")
        done = self.submit(b"echo", b"a", b"", b"c")
        self.assertEqual(self.wait(done), [b"200", b"a", b"", b"c"])
        waits = [self.submit(b"nobody", b"%d" % n) for n in range(20)]
        dead = self.submit(b"nobody", b"dead")
        self.assertEqual(self.changed(b"cancel", b"id=" + dead, b"not wanted"), 1)
        closed = self.submit(b"nobody", b"closed")
        self.close(closed)
        keyed = self.submit_with(b"idempotency-key: k\n", b"nobody", b"keyed")
        before = self.table()
        self.restart()
        self.assertEqual(self.table(), before)
        self.assertEqual(self.ask(b"reply", done), [b"200", b"a", b"", b"c"])
        self.assertEqual(self.ask(b"reply", dead), [b"500", b"not wanted"])
        self.assertEqual(self.ask(b"reply", closed)[0], b"400")
        self.assertEqual(self.submit_with(b"idempotency-key: k\n", b"nobody", b"keyed"), keyed)
        self.serve("0.1", self.endpoint, b"nobody")
        for n, name in enumerate(waits):
            self.assertEqual(self.wait(name), [b"200", b"%d" % n])

    def test_kills_under_load_lose_nothing_acknowledged(self):
        self.titanic = self.start_titanic()
        self.serve("g1", self.endpoint, b"echo", credit=64)
        acknowledged = {}
        for round_number in range(3):
            client = self.client("g1", self.endpoint)
            asked = {client.request(b"titanic.request", [b"echo", b"%d %d" % (round_number, n)]):
                     b"%d %d" % (round_number, n) for n in range(800)}
            client.flush()
            answer = client.answer(next(iter(asked)))      # some are, and others are not yet
            acknowledged[answer.body[1]] = next(iter(asked.values()))
            self.titanic.kill()
            for one, body in list(asked.items())[1:]:
                try:
                    answer = client.answer(one, 0.01)
                except Silence:
                    break
                if answer.body[:1] == [b"200"]:
                    acknowledged[answer.body[1]] = body
            self.titanic = self.start_titanic()
        for name, body in acknowledged.items():
            self.assertEqual(self.wait(name), [b"200", body])
        self.assertGreaterEqual(len(acknowledged), 3)

    def test_what_was_out_is_run_again(self):
        self.titanic = self.start_titanic()
        worker = self.worker("g1", self.endpoint, b"service", credit=2)
        name = self.submit(b"service", b"Hi")
        worker.take()
        self.restart()
        second = worker.take()
        self.assertEqual(second.body, [b"Hi"])
        self.assertIn(b"titanic-id: " + name, second.fields.split(b"\n"))
        worker.final(second, [b"done"])
        worker.flush()
        self.assertEqual(self.wait(name), [b"200", b"done"])

    def test_a_wait_goes_on_after_a_restart(self):
        self.titanic = self.start_titanic()
        worker = self.worker("g1", self.endpoint, b"service")
        name = self.submit(b"service", b"Hi")
        worker.take()
        asked = self.asking.request(b"titanic.wait", [name, b"20000"])
        self.asking.flush()
        self.until(lambda: self.count("waits") == 1, "the wait")
        asking = self.asking
        self.restart()
        given = worker.take()
        worker.final(given, [b"done"])
        worker.flush()
        self.assertEqual(asking.answer(asked).body, [b"200", b"done"])

    def test_relaxed_says_so(self):
        self.titanic = self.start_titanic("--durability", "relaxed")
        self.assertEqual(self.stats()["durability"], "relaxed")
        self.assertIn("TITANIC-RELAXED", self.titanic.error_text())
        name = self.submit(b"nobody", b"Hi")
        self.restart("--durability", "full")
        self.assertEqual(self.stats()["durability"], "full")
        self.assertEqual(self.ask(b"reply", name), [b"300"])


class Two(LifeTest):
    """One store is one process's."""

    def test_a_second_one_is_refused_and_told_whose_it_is(self):
        first = self.start_titanic()
        second = self.start_titanic(ready=False)
        self.assertEqual(second.wait(), 1)
        self.assertIn(self.pid_of(first), second.error_text())
        self.assertIn("titanic.db", second.error_text())
        self.submit(b"nobody", b"Hi")

    def pid_of(self, titanic):
        return (self.folder / "titanic.db.lock").read_text().strip() if titanic else ""

    def test_the_pid_is_that_of_the_first(self):
        first = self.start_titanic()
        children = os.listdir(f"/proc/{first.process.pid}/task")
        self.assertIn(self.pid_of(first), [str(first.process.pid), *children])

    def test_a_standby_takes_over(self):
        first = self.start_titanic()
        name = self.submit(b"nobody", b"Hi")
        second = self.start_titanic("--standby", ready=False)
        with self.assertRaises(AssertionError):
            self.assert_ends(second, 0.5)
        first.kill()
        second.ready()
        self.assertEqual(self.ask(b"reply", name), [b"300"])

    def assert_ends(self, titanic, seconds):
        end = time.monotonic() + seconds
        while titanic.process.poll() is None:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)

    def test_a_standby_that_is_told_to_end_ends(self):
        self.start_titanic()
        second = self.start_titanic("--standby", ready=False)
        with self.assertRaises(AssertionError):
            self.assert_ends(second, 0.3)
        second.stop()


class WithoutBroker(LifeTest):
    """The broker goes and comes."""

    def test_killed_under_it_nothing_is_lost_or_told_twice(self):
        titanic = self.start_titanic()
        self.serve("g1", self.endpoint, b"echo", credit=16)
        waits = [self.submit(b"later", b"%d" % n) for n in range(10)]
        client = self.client("g1", self.endpoint)
        asked = {client.request(b"titanic.submit", [b"idempotency-key: %d\n" % n, b"echo",
                                                    b"%d" % n]): n for n in range(500)}
        client.flush()
        first = client.answer(next(iter(asked)))
        self.broker.kill()
        told = {first.body[1]: 0}
        for one, n in list(asked.items())[1:]:
            try:
                answer = client.answer(one, 0.01)
            except Silence:
                break
            self.assertNotIn(answer.body[1], told)
            told[answer.body[1]] = n
        self.broker = self.start_broker(self.endpoint)
        self.broker.ready()
        self.asking = ClientG1(self.context, self.endpoint)
        self.addCleanup(self.asking.close)
        names = {}
        for n in range(500):        # the same keys: the same requests
            names[self.submit_with(b"idempotency-key: %d\n" % n, b"echo", b"%d" % n)] = n
        self.assertEqual(len(names), 500)
        for name, n in told.items():
            self.assertEqual(names[name], n)
        for name, n in names.items():
            self.assertEqual(self.wait(name), [b"200", b"%d" % n])
        self.serve("0.2", self.endpoint, b"later")
        for n, name in enumerate(waits):
            self.assertEqual(self.wait(name), [b"200", b"%d" % n])
        titanic.stop()

    def test_it_may_start_before_its_broker(self):
        self.broker.kill()
        titanic = self.start_titanic(ready=False)
        self.until(lambda: (self.folder / "titanic.db").exists(), "the store")
        self.broker = self.start_broker(self.endpoint)
        titanic.ready()
        self.asking = self.client("g1", self.endpoint)
        self.submit(b"nobody", b"Hi")

    def test_told_to_end_without_a_broker_it_ends(self):
        titanic = self.start_titanic()
        self.broker.kill()
        titanic.stop()


class Drain(LifeTest):
    """SIGTERM finishes what is out, and exits 0."""

    def test_what_is_out_is_finished_and_what_comes_is_refused(self):
        titanic = self.start_titanic("--log-level", "info")
        worker = self.worker("g1", self.endpoint, b"service")
        name = self.submit(b"service", b"Hi")
        given = worker.take()
        titanic.signal(signal.SIGTERM)
        self.until(lambda: "TITANIC-DRAINING" in titanic.error_text(), "the drain")
        worker.final(given, [b"done"])
        worker.flush()
        self.assertEqual(titanic.wait(), 0, titanic.error_text())
        self.start_titanic()
        self.assertEqual(self.ask(b"reply", name), [b"200", b"done"])

    def test_idle_it_ends_at_once(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            titanic = self.start_titanic()
            begun = time.monotonic()
            titanic.signal(number)
            self.assertEqual(titanic.wait(), 0)
            self.assertLess(time.monotonic() - begun, 5)

    def test_nothing_acknowledged_is_lost_in_a_drain(self):
        titanic = self.start_titanic()
        client = self.client("g1", self.endpoint)
        asked = {client.request(b"titanic.request", [b"nobody", b"%d" % n]): n
                 for n in range(500)}
        client.flush()
        titanic.signal(signal.SIGTERM)
        told = {}
        for one, n in asked.items():
            try:
                answer = client.answer(one, 2)
            except Silence:
                break               # still with the broker: the next titanic gets it
            if answer.body[:1] == [b"200"]:
                told[answer.body[1]] = n
        self.assertEqual(titanic.wait(), 0)
        self.start_titanic()
        for name in told:
            self.assertEqual(self.ask(b"reply", name), [b"300"])


@unittest.skipUnless(LONG, "GALLEON_SLOW_SECONDS is not set")
class Slow(LifeTest):
    """A service that takes a minute."""

    def test_it_runs_exactly_once(self):
        self.start_titanic()
        seen, over = [], threading.Event()
        self.addCleanup(over.set)

        def work(request):
            seen.append(request.body)
            over.wait(LONG)         # the work itself
            return [b"at last"]

        # It says nothing while it works; a broker waits for a 0.1 worker, and for one of G1
        # as long as the heartbeat it asked for allows.
        self.serve("0.1", self.endpoint, b"slow", work, patience=LONG + DEADLINE)
        self.serve("g1", self.endpoint, b"slow.g1", work, patience=LONG + DEADLINE,
                   heartbeat_ms=LONG * 1000)
        names = [self.submit(b"slow", b"Hi"), self.submit(b"slow.g1", b"Hi")]
        for name in names:
            status, *body = self.ask(b"wait", name, b"%d" % (LONG * 1000 + 20000),
                                     timeout=LONG + 2 * DEADLINE)
            self.assertEqual((status, body), (b"200", [b"at last"]))
            self.assertEqual(self.facts(name)["attempts"], "1")
        self.assertEqual(seen, [[b"Hi"], [b"Hi"]])


if __name__ == "__main__":
    unittest.main()
