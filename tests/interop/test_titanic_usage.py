"""titanic's command line: what it says, and what it exits with.

    GALLEON_BIN=build/asan /usr/bin/python3 tests/interop/test_titanic_usage.py [-v]
"""

import shutil
import unittest

from durable import LifeTest, disk_folder
from support import run

OPTIONS = ["broker", "store", "durability", "attempts", "retry-min", "retry-max", "timeout",
           "inflight", "retain", "anchor", "audit", "audit-key", "backup-dir",
           "free-min", "max-message", "standby",
           "log-level", "help", "version"]


class Usage(unittest.TestCase):
    """It ends at once, with a sentence that says what to do."""

    def fails(self, *arguments, says, code=2):
        found, _, errors = run("titanic", *arguments)
        self.assertEqual(found, code, errors)
        self.assertIn(says, errors)

    def test_help_names_every_option(self):
        code, output, _ = run("titanic", "--help")
        self.assertEqual(code, 0)
        for option in OPTIONS:
            self.assertIn(f"--{option}", output.decode())

    def test_version(self):
        code, output, _ = run("titanic", "--version")
        self.assertEqual(code, 0)
        self.assertRegex(output.decode(), r"\d+\.\d+\.\d+")

    def test_the_nearest_option_is_named(self):
        self.fails("--brocker", "tcp://127.0.0.1:5555", says="--broker")
        self.fails("--duribility", "full", says="--durability")

    def test_values_out_of_bounds(self):
        self.fails("--attempts", "0", says="from 1 to")
        self.fails("--inflight", "0", says="from 1 to")
        self.fails("--retain", "7d", says="whole number")
        self.fails("--timeout", "-1", says="whole number")
        self.fails("--retry-min", "", says="retry-min")
        self.fails("--max-message", "1023", says="from 1024 to")
        self.fails("--durability", "lazy", says="full or relaxed")
        self.fails("--anchor", "1s", says="100ms or every-commit")
        self.fails("--audit", "perhaps", says="on or off")

    def test_what_is_no_endpoint_no_store_no_option(self):
        self.fails("--broker", "127.0.0.1:5555", says="tcp://127.0.0.1:5555")
        self.fails("tcp://127.0.0.1:5555", says="--broker")
        for store in ("titanic.db", "sqlite:", "postgres:x", ""):
            self.fails("--store", store, says="sqlite:PATH")


class Store(unittest.TestCase):
    """What is no store of ours is left as it is."""

    def setUp(self):
        self.folder = disk_folder()
        self.addCleanup(shutil.rmtree, self.folder)

    def refused(self, path):
        code, _, errors = run("titanic", "--store", f"sqlite:{path}")
        self.assertEqual(code, 1, errors)
        self.assertIn(str(path), errors)

    def test_a_folder_that_is_not_there(self):
        self.refused(self.folder / "no" / "titanic.db")

    def test_a_file_of_somebody_else(self):
        path = self.folder / "titanic.db"
        path.write_bytes(b"Dear diary\n" * 1000)
        self.refused(path)
        self.assertEqual(path.read_bytes(), b"Dear diary\n" * 1000)


class Key(unittest.TestCase):
    """The key that signs the audit is its owner's alone."""

    def setUp(self):
        self.folder = disk_folder()
        self.addCleanup(shutil.rmtree, self.folder)
        self.key = self.folder / "key"

    def refused(self, says):
        code, _, errors = run("titanic", "--store", f"sqlite:{self.folder}/titanic.db",
                              "--audit-key", self.key)
        self.assertEqual(code, 2, errors)
        self.assertIn(says, errors)
        self.assertFalse((self.folder / "titanic.db").exists())

    def test_no_file(self):
        self.refused("No such file")

    def test_a_key_that_others_may_read(self):
        run("galleon", "audit", "keygen", self.key)
        self.key.chmod(0o640)
        self.refused("0600")

    def test_what_is_no_key(self):
        self.key.write_text("a key of mine\n")
        self.key.chmod(0o600)
        self.refused("hex digits")


class Fields(LifeTest):
    """Options that show."""

    def test_attempts(self):
        self.start_titanic("--attempts", 3)
        name = self.submit(b"nobody", b"Hi")
        self.assertEqual(self.facts(name)["attempts_max"], "3")

    def test_inflight(self):
        self.start_titanic("--inflight", 4)
        worker = self.worker("g1", self.endpoint, b"service", credit=100)
        client = self.client("g1", self.endpoint)
        asked = [client.request(b"titanic.request", [b"service", b"%d" % n]) for n in range(50)]
        for one in asked:
            self.assertEqual(client.answer(one).body[0], b"200")
        worker.take()
        self.until(lambda: self.count("out") > 1, "more than one out")
        for _ in range(10):
            self.assertLessEqual(self.count("out"), 4)

    def test_timeout(self):
        self.start_titanic("--timeout", 300, "--attempts", 2)
        worker = self.worker("g1", self.endpoint, b"service", credit=8)
        name = self.submit(b"service", b"Hi")
        first, second = worker.take(), worker.take()
        self.assertEqual((first.body, second.body), ([b"Hi"], [b"Hi"]))
        self.assertEqual(self.wait(name), [b"500", b"no answer in time"])

    def test_a_body_larger_than_the_broker_takes(self):
        self.start_titanic("--max-message", 2 ** 22, "--attempts", 1)
        self.assertEqual(self.ask(b"submit", b"", b"service", b"x" * 1000)[0], b"200")


if __name__ == "__main__":
    unittest.main()
