"""What the tests of titanic share: a broker and a titanic with a store, and how one asks them.

The store is in the build folder, which is on a disk: what a restart finds there has to be what
survives, and /tmp may be memory.
"""

import pathlib
import re
import shutil
import tempfile
import time

from peers import DEADLINE
from support import BrokerTest, PeerTest, Program, program, run

UNKNOWN = b"0198F0C5A1B200000000000000009999"
ID = re.compile(rb"[0-9A-F]{32}")
# One byte of room is enough, and failures are repeated soon.
SOON = ("--free-min", 1, "--retry-min", 20, "--retry-max", 100)
SERVICES = [b"titanic." + name for name in
            (b"request", b"reply", b"close", b"submit", b"wait", b"list", b"show", b"stats",
             b"retry", b"cancel", b"purge", b"backup")]


def disk_folder():
    """Return a new folder on a real file system."""
    return pathlib.Path(tempfile.mkdtemp(prefix="titanic-", dir=pathlib.Path(program("titanic"))
                                         .parent))


def rows(table):
    """Return a table's rows as dictionaries."""
    first, *rest = [line.split("\t") for line in table.decode().splitlines()]
    return [dict(zip(first, row, strict=True)) for row in rest]


class Asking:
    """How a test asks titanic; whoever mixes it in has self.asking, a client."""

    def ask(self, name, *body, client=None, timeout=DEADLINE):
        """Return the frames of the answer of titanic.NAME."""
        answer = (client or self.asking).call(b"titanic." + name, list(body), timeout)
        self.assertEqual((answer.status, answer.partials), (200, []))
        return answer.body

    def submit(self, service, *body, client=None):
        """Submit as RFC 9 says; return the id."""
        status, name = self.ask(b"request", service, *body, client=client)
        self.assertEqual(status, b"200")
        self.assertRegex(name, rb"\A[0-9A-F]{32}\Z")
        return name

    def submit_with(self, fields, service, *body):
        """Submit with fields; return the id."""
        status, name = self.ask(b"submit", fields, service, *body)
        self.assertEqual(status, b"200", name)
        return name

    def fetch(self, name, client=None):
        """Ask for the reply as the Guide's ticlient does, until it is there; return its frames."""
        deadline = time.monotonic() + DEADLINE
        while (found := self.ask(b"reply", name, client=client)) == [b"300"]:
            self.assertLess(time.monotonic(), deadline, "no reply in time")
            time.sleep(0.01)
        self.assertEqual(found[0], b"200", found)
        return found[1:]

    def wait(self, name, ms=int(DEADLINE * 1000)):
        return self.ask(b"wait", name, b"%d" % ms, timeout=2 * DEADLINE)

    def close(self, name):
        self.assertEqual(self.ask(b"close", name), [b"200"])

    def facts(self, name):
        """Return what titanic.show says of one request."""
        status, table = self.ask(b"show", b"id=" + name)
        self.assertEqual(status, b"200", table)
        found = rows(table)
        self.assertEqual({row["id"] for row in found}, {name.decode()} if found else set())
        return {row["name"]: row["value"] for row in found}

    def wait_for_state(self, name, state):
        self.until(lambda: self.facts(name).get("state") == state, f"{name} {state}")

    def stats(self, service=b""):
        """Return the numbers and words that titanic.stats says of the store, or of a service."""
        status, table = self.ask(b"stats", b"service=" + service if service else b"")
        self.assertEqual(status, b"200", table)
        return {row["name"]: row["value"] for row in rows(table)
                if row["service"] == service.decode()}

    def count(self, name):
        return int(self.stats()[name])

    def changed(self, name, text, reason=b""):
        """Retry, cancel or purge; return how many were changed."""
        status, number = self.ask(name, text, reason)
        self.assertEqual(status, b"200", number)
        return int(number)


class TitanicTest(Asking, BrokerTest):
    """Tests of one mdbroker and one titanic."""

    titanic_arguments = ()

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = disk_folder()
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.titanic = Program("titanic", "--broker", cls.endpoint,
                              "--store", f"sqlite:{cls.folder}/titanic.db",
                              *SOON, *cls.titanic_arguments)
        cls.addClassCleanup(cls.titanic.stop)
        cls.titanic.ready()

    def setUp(self):
        super().setUp()
        self.addCleanup(self.forget_what_waits)

    def forget_what_waits(self):
        """Cancel what is pending: a drain waits for what is out, and so would the class's end."""
        while self.changed(b"cancel", b"state=pending", b"the test is over") == 1000:
            pass


class LifeTest(Asking, PeerTest):
    """Tests in which broker and titanic come and go. Each has its own."""

    def setUp(self):
        super().setUp()
        self.folder = disk_folder()
        self.addCleanup(shutil.rmtree, self.folder)
        self.broker = self.start_broker("tcp://127.0.0.1:*")
        self.endpoint = self.broker.ready()

    def start_broker(self, endpoint):
        return self.start(Program("mdbroker", "--bind", endpoint, "--heartbeat", 250), "kill")

    def start_titanic(self, *arguments, store="titanic.db", ready=True):
        titanic = self.start(Program("titanic", "--broker", self.endpoint,
                                     "--store", f"sqlite:{self.folder}/{store}",
                                     *SOON, *arguments), "kill")
        if ready:
            titanic.ready()
            self.asking = self.client("g1", self.endpoint)
        return titanic


__all__ = ["ID", "SERVICES", "SOON", "UNKNOWN", "LifeTest", "TitanicTest", "disk_folder", "rows",
           "run"]
