"""The store of titanic, looked at: audit, check, backup, faults, by the programs themselves.

    GALLEON_BIN=build/asan /usr/bin/python3 tests/interop/test_titanic_store.py [-v]
"""

import json
import os
import unittest
import unittest.mock

from durable import LifeTest
from peers import Silence
from support import run


class StoreTest(LifeTest):
    """A titanic with a store that the tool looks at afterwards."""

    def setUp(self):
        super().setUp()
        self.path = self.folder / "titanic.db"

    def tool(self, *words, code=0):
        """Run galleon; return what it printed, and what it complained about."""
        found, output, errors = run("galleon", *words)
        self.assertEqual(found, code, errors)
        return output.decode(), errors

    def facts_of(self, *words, code=0):
        return json.loads(self.tool(*words, "--json", code=code)[0])

    def fill(self, count=5):
        return [self.submit(b"nobody", b"%d" % n) for n in range(count)]

    def fill_and_close(self):
        """Leave ten records and nothing that a drain would wait for."""
        for name in self.fill():
            self.close(name)


class Audit(StoreTest):

    def test_a_killed_store_is_verified_as_it_is(self):
        titanic = self.start_titanic()
        self.fill()
        titanic.kill()
        facts = self.facts_of("audit", "verify", f"sqlite:{self.path}")
        self.assertEqual((facts["chain"], facts["n"]), ("whole", 5))
        head = self.facts_of("audit", "head", self.path)
        self.assertEqual((head["n"], head["head"]), (5, facts["head"]))
        output, _ = self.tool("audit", "verify", self.path)
        self.assertIn(facts["head"], output)

    def test_a_store_that_runs_is_refused_with_its_pid(self):
        titanic = self.start_titanic()
        _, errors = self.tool("audit", "verify", self.path, code=1)
        self.assertIn(f"process {titanic.process.pid} has", errors)

    def test_signatures_are_of_the_key(self):
        key, other = self.folder / "key", self.folder / "other"
        self.tool("audit", "keygen", key)
        self.tool("audit", "keygen", other)
        titanic = self.start_titanic("--audit-key", key)
        self.fill()
        titanic.kill()
        facts = self.facts_of("audit", "verify", self.path, "--pubkey", f"{key}.pub")
        self.assertEqual(facts["chain"], "whole")
        self.assertGreaterEqual(facts["signed"], 1)
        facts = self.facts_of("audit", "verify", self.path, "--pubkey", f"{other}.pub", code=1)
        self.assertEqual(facts["chain"], "broken")
        self.assertIn("signature", facts["why"])

    def test_an_older_copy_is_behind_its_anchor(self):
        titanic = self.start_titanic("--anchor", "every-commit")
        self.fill_and_close()
        titanic.stop()
        older = self.path.read_bytes()
        titanic = self.start_titanic("--anchor", "every-commit")
        self.fill_and_close()
        titanic.stop()
        self.path.write_bytes(older)
        facts = self.facts_of("audit", "verify", self.path, code=1)
        self.assertEqual((facts["chain"], facts["broken"]), ("broken", 11))
        self.assertIn("anchor", facts["why"])

    def test_no_store(self):
        _, errors = self.tool("audit", "head", self.folder / "none", code=1)
        self.assertIn("none", errors)
        self.assertEqual([path.name for path in self.folder.iterdir()], [])


class Check(StoreTest):

    def test_a_killed_store_is_whole(self):
        self.serve("g1", self.endpoint, b"echo")
        titanic = self.start_titanic()
        done = self.submit(b"echo", b"x" * 300000)
        self.fetch(done)
        self.fill()
        titanic.kill()
        facts = self.facts_of("store", "check", f"sqlite:{self.path}")
        self.assertEqual((facts["contents"], facts["chain"]), ("whole", "whole"))
        self.assertEqual((facts["done"], facts["pending"], facts["digests"]), (1, 5, 6))
        self.assertEqual(facts["incarnation"], 1)
        self.tool("store", "info", self.path)
        self.start_titanic()
        self.assertEqual(self.count("pending"), 5)

    def test_a_flipped_bit_is_found(self):
        titanic = self.start_titanic()
        self.fill_and_close()
        self.submit(b"nobody", b"x" * 200000)
        self.changed(b"cancel", b"state=pending")
        titanic.stop()
        found = bytearray(self.path.read_bytes())
        at = found.index(b"x" * 1000) + 500
        found[at] ^= 1
        self.path.write_bytes(found)
        facts = self.facts_of("store", "check", self.path, code=1)
        self.assertEqual(facts["contents"], "damaged")


class Room(StoreTest):

    def test_with_too_little_room_nothing_new_is_accepted_and_all_else_goes_on(self):
        self.serve("g1", self.endpoint, b"echo")
        titanic = self.start_titanic()
        done, waits = self.submit(b"echo", b"Hi"), self.submit(b"nobody", b"Hi")
        self.fetch(done)
        titanic.kill()
        self.start_titanic("--free-min", 2 ** 50)
        self.until(lambda: self.stats()["store"] == "full", "no room")
        self.assertEqual(self.ask(b"request", b"echo", b"Hi"), [b"500", b"the disk is full"])
        self.assertEqual(self.fetch(done), [b"Hi"])
        self.close(done)
        self.close(waits)


class Backup(StoreTest):

    def setUp(self):
        super().setUp()
        self.copies = self.folder / "copies"
        self.copies.mkdir()

    def backup(self, *words, code=0):
        return self.tool("store", "backup", *words, "--broker", self.endpoint, code=code)

    def test_without_a_folder_it_is_refused(self):
        self.start_titanic()
        self.assertEqual(self.ask(b"backup", b"")[0], b"403")
        _, errors = self.backup(code=1)
        self.assertIn("--backup-dir", errors)

    def test_a_name_is_no_path(self):
        self.start_titanic("--backup-dir", self.copies)
        for name in (b"../x", b"a/b", b".", b"a.db", b"x" * 65, b"a\0b"):
            self.assertEqual(self.ask(b"backup", name)[0], b"400", name)
        self.assertEqual(list(self.copies.iterdir()), [])

    def test_what_a_crash_has_left_of_a_backup_is_removed_at_the_start(self):
        kept = self.copies / "monday.db"
        for path in (kept, self.copies / "tuesday.db.part"):
            path.write_bytes(b"x")
        self.start_titanic("--backup-dir", self.copies)
        self.assertEqual(list(self.copies.iterdir()), [kept])

    def test_a_name_is_used_once(self):
        self.start_titanic("--backup-dir", self.copies)
        path, _ = self.backup("one")
        self.assertEqual(path, f"{self.copies}/one.db\n")
        _, errors = self.backup("one", code=1)
        self.assertIn("409", errors)
        self.backup()
        self.assertEqual(len(names := [path.name for path in self.copies.iterdir()]), 2, names)

    def test_what_cannot_be_written_leaves_titanic_well(self):
        self.start_titanic("--backup-dir", self.folder / "none")
        self.assertEqual(self.ask(b"backup", b"one")[0], b"500")
        self.submit(b"nobody", b"Hi")

    def test_submits_go_on_while_it_is_made_and_what_it_restores_is_another_incarnation(self):
        titanic = self.start_titanic("--backup-dir", self.copies)
        before = [self.submit(b"nobody", b"x" * 100000) for _ in range(100)]
        copying = self.client("g1", self.endpoint)
        asked = copying.request(b"titanic.backup", [b"one"])
        meanwhile = [self.submit(b"nobody", b"%d" % n) for n in range(200)]
        status, path = copying.answer(asked).body
        self.assertEqual((status, path.decode()), (b"200", f"{self.copies}/one.db"))
        titanic.kill()
        self.assertEqual(self.facts_of("store", "check", path.decode())["kind"], "backup")

        # Restored: in the store's place, without its log, and beside its anchor.
        (self.folder / "titanic.db-wal").unlink()
        self.path.write_bytes((self.copies / "one.db").read_bytes())
        titanic = self.start_titanic()
        for name in before:
            self.assertEqual(self.facts(name)["state"], "pending")
        self.submit(b"nobody", b"after it")
        titanic.kill()
        facts = self.facts_of("store", "check", self.path)
        self.assertEqual((facts["contents"], facts["chain"]), ("whole", "whole"))
        self.assertEqual((facts["kind"], facts["incarnation"]), ("store", 2))
        self.assertGreaterEqual(facts["pending"], len(before) + 1)
        self.assertLessEqual(facts["pending"], len(before) + len(meanwhile) + 1)


class Faults(StoreTest):

    def refused(self, code, *says):
        found, _, errors = run("titanic", "--broker", self.endpoint, "--store",
                               f"sqlite:{self.path}")
        self.assertEqual(found, code, errors)
        for text in says:
            self.assertIn(text, errors)

    def test_a_store_behind_its_anchor_is_refused(self):
        titanic = self.start_titanic("--anchor", "every-commit")
        self.fill_and_close()
        titanic.stop()
        older = self.path.read_bytes()
        titanic = self.start_titanic("--anchor", "every-commit")
        self.fill_and_close()
        titanic.stop()
        self.path.write_bytes(older)
        self.refused(1, "acknowledged data missing", "changes 11 to 20", "galleon store check",
                     "docs/operating/store.md")

    def test_a_damaged_store_is_refused(self):
        titanic = self.start_titanic()
        self.fill_and_close()
        titanic.stop()
        found = bytearray(self.path.read_bytes())
        for at in range(100, len(found), 8192):
            found[at] ^= 1
        self.path.write_bytes(found)
        self.refused(1, str(self.path), "galleon store check")
        self.assertEqual(self.path.read_bytes(), found)

    def test_a_fault_at_work_refuses_and_says_so(self):
        self.serve("g1", self.endpoint, b"echo")
        titanic = self.start_titanic()
        done = self.submit(b"echo", b"x" * 300000)
        self.fetch(done)
        titanic.stop()
        titanic = self.start_titanic()
        found = bytearray(self.path.read_bytes())
        at = found.index(b"x" * 1000) + 500
        with self.path.open("r+b") as file:
            file.seek(at)
            file.write(b"y")
        self.assertEqual(self.ask(b"reply", done)[0], b"500")
        self.until(lambda: self.stats()["store"] == "fault", "the fault")
        self.assertEqual(self.ask(b"request", b"echo", b"Hi")[0], b"500")
        self.assertEqual(self.ask(b"list", b"")[0], b"500")
        titanic.signal()
        titanic.wait()

    def no_sync(self):
        """Return a file: while it is there no sync succeeds of what is started in the context."""
        mark = self.folder / "no-sync"
        more = {"LD_PRELOAD": os.environ["GALLEON_NO_SYNC_LIBRARY"], "GALLEON_NO_SYNC": str(mark),
                "ASAN_OPTIONS": "verify_asan_link_order=0:"
                                + os.environ.get("ASAN_OPTIONS", "")}
        return mark, unittest.mock.patch.dict(os.environ, more)

    @unittest.skipUnless(os.environ.get("GALLEON_NO_SYNC_LIBRARY"), "no library to preload")
    def test_a_sync_that_fails_at_the_start_is_doubt_too(self):
        mark, without_sync = self.no_sync()
        titanic = self.start_titanic()
        before = self.submit(b"nobody", b"before")
        titanic.kill()
        mark.touch()
        with without_sync:
            self.refused(75, str(self.path))
        self.assertIn("fault", (self.folder / "titanic.db.fault").read_text())
        self.start_titanic()
        self.assertEqual(self.facts(before)["state"], "pending")
        self.assertIn("checked", (self.folder / "titanic.db.fault").read_text())

    @unittest.skipUnless(os.environ.get("GALLEON_NO_SYNC_LIBRARY"), "no library to preload")
    def test_syncs_that_fail_at_start_after_start_need_an_operator(self):
        mark, without_sync = self.no_sync()
        mark.touch()
        with without_sync:
            self.refused(75)
            self.refused(75)
            self.refused(1, "twice within ten minutes")

    def test_a_path_that_is_none_is_no_doubt(self):
        self.path = self.folder / "none" / "titanic.db"
        self.refused(1, "none")

    @unittest.skipUnless(os.environ.get("GALLEON_NO_SYNC_LIBRARY"), "no library to preload")
    def test_a_sync_that_fails_is_not_acknowledged(self):
        mark, without_sync = self.no_sync()
        with without_sync:
            titanic = self.start_titanic()
        before = self.submit(b"nobody", b"before")
        mark.touch()
        asked = self.asking.request(b"titanic.request", [b"nobody", b"after"])
        self.asking.flush()
        self.assertEqual(titanic.wait(), 75, titanic.error_text())
        with self.assertRaises(Silence):
            self.asking.answer(asked, 0.5)
        self.assertIn("fault", (self.folder / "titanic.db.fault").read_text())
        mark.unlink()
        with without_sync:
            titanic = self.start_titanic()
        self.assertEqual(self.facts(before)["state"], "pending")
        mark.touch()
        self.asking.request(b"titanic.request", [b"nobody", b"again"])
        self.asking.flush()
        self.assertEqual(titanic.wait(), 75, titanic.error_text())
        self.refused(1, "twice within ten minutes", "titanic.db.fault")


if __name__ == "__main__":
    unittest.main()
