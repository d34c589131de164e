"""titanic behind a broker that speaks MDP/0.1 alone, as the Guide's do.

    GALLEON_BIN=build/asan /usr/bin/python3 tests/interop/test_titanic_guide.py [-v] [Class[.test]]

Such a broker says nothing of a request that no worker takes, gives one request at a time to each
of titanic's workers, and gives titanic one place for what it sends. The broker is that of
brokers.py, from RFC 7 and RFC 8.
"""

import shutil
import time
import unittest

from brokers import Broker01
from durable import SOON, Asking, disk_folder
from support import PeerTest, Program


class GuideTest(Asking, PeerTest):
    mmi = True

    def setUp(self):
        super().setUp()
        self.folder = disk_folder()
        self.addCleanup(shutil.rmtree, self.folder)
        self.broker = self.start(Broker01(self.context, mmi=self.mmi))
        self.endpoint = self.broker.endpoint

    def start_titanic(self, *arguments):
        titanic = self.start(Program("titanic", "--broker", self.endpoint,
                                     "--store", f"sqlite:{self.folder}/titanic.db",
                                     *SOON, *arguments), "kill")
        titanic.ready()
        self.asking = self.client("0.1", self.endpoint)
        return titanic

    def check_life(self):
        self.serve("0.1", self.endpoint, b"echo")
        for body in ([b"Hello world"], [b"", b"a", b""], [b"x" * 200000]):
            name = self.submit(b"echo", *body)
            self.assertEqual(self.fetch(name), body)
            self.assertEqual(self.wait(name), [b"200", *body])
            self.close(name)
            self.assertEqual(self.ask(b"reply", name)[0], b"400")

    def check_silence(self):
        """Nobody serves for several times what an attempt may take; then somebody does."""
        names = [self.submit_with(b"attempts: 1\n", b"nobody", b"%d" % n) for n in range(3)]
        end = time.monotonic() + 4
        while time.monotonic() < end:       # several attempts long
            for name in names:
                self.assertEqual(self.ask(b"reply", name), [b"300"])
            time.sleep(0.1)
        seen = []
        self.serve("0.1", self.endpoint, b"nobody",
                   lambda request: seen.append(request.body) or request.body)
        for n, name in enumerate(names):
            self.assertEqual(self.wait(name), [b"200", b"%d" % n])


class WithMmi(GuideTest):
    """It answers mmi.service, as the Guide's brokers do."""

    def test_the_life_of_a_request(self):
        self.start_titanic()
        self.check_life()
        self.assertEqual(self.broker.violations, [])

    def test_what_nobody_took_is_never_dead(self):
        self.start_titanic("--timeout", 500)
        self.check_silence()
        self.assertEqual(self.broker.violations, [])

    def test_services_without_workers_hold_up_no_other(self):
        self.start_titanic("--timeout", 60000)
        dead = [self.submit(b"nobody-%d" % n, b"wait") for n in range(5)]
        self.check_life()
        for name in dead:
            self.assertEqual(self.ask(b"reply", name), [b"300"])
        self.serve("0.1", self.endpoint, b"nobody-3")
        self.assertEqual(self.wait(dead[3]), [b"200", b"wait"])
        self.assertEqual(self.facts(dead[0])["attempts"], "0")
        self.assertEqual(self.broker.violations, [])

    def test_a_worker_that_fails_to_answer_is_given_it_again(self):
        self.start_titanic("--timeout", 700)
        worker = self.worker("0.1", self.endpoint, b"service")
        name = self.submit(b"service", b"Hi")
        worker.take()
        worker.connect()                    # it died and came back
        given = worker.take()
        self.assertEqual(given.body, [b"Hi"])
        worker.final(given, [b"done"])
        self.assertEqual(self.wait(name), [b"200", b"done"])

    def test_told_to_end_it_ends(self):
        titanic = self.start_titanic()
        self.serve("0.1", self.endpoint, b"echo")
        name = self.submit(b"echo", b"Hi")
        self.assertEqual(self.wait(name), [b"200", b"Hi"])
        titanic.stop()
        self.assertEqual(self.broker.violations, [])


class WithoutMmi(GuideTest):
    """It takes mmi.service for the name of a service, and never answers."""

    mmi = False

    def start_titanic(self, *arguments):
        # It cannot know that it is served, so it never says ready: its workers' READY is all.
        titanic = self.start(Program("titanic", "--broker", self.endpoint,
                                     "--store", f"sqlite:{self.folder}/titanic.db",
                                     *SOON, *arguments), "kill")
        self.broker.wait_until(lambda broker: broker.has_worker(b"titanic.purge"))
        self.asking = self.client("0.1", self.endpoint)
        return titanic

    def test_the_life_of_a_request(self):
        self.start_titanic()
        self.check_life()
        self.assertEqual(self.broker.violations, [])

    def test_what_nobody_took_is_never_dead(self):
        self.start_titanic("--timeout", 500)
        self.check_silence()


if __name__ == "__main__":
    unittest.main()
