#!/usr/bin/env python3
"""test_drills.py - the drills, run as an operator would, and what is said when one fails.

The programs are taken from the folder that GALLEON_BIN names, else build/asan. With a name or
names as arguments only those tests run: tests/drills/test_drills.py [-v] [Class[.test]]
"""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = pathlib.Path(os.environ.get("GALLEON_BIN") or ROOT / "build" / "asan")
PATIENCE = 120          # seconds until a drill that hangs fails the test


def children_of(pid):
    """The processes whose parent this is, as the kernel has them."""
    found = set()
    for status in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue        # it has just ended
        if int(fields[1]) == pid:
            found.add(int(status.parent.name))
    return found


class DrillTest(unittest.TestCase):
    """Each test has a folder of its own as TMPDIR, in which nothing may be left."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.environment = {**os.environ, "TMPDIR": str(self.folder)}

    def start(self, *arguments, program=FOLDER / "galleon"):
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", str(program), *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, env=self.environment)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def run_to_end(self, *arguments, code=0, **options):
        process = self.start(*arguments, **options)
        text, errors = process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, code, f"{text}\n{errors}")
        self.assertEqual(list(self.folder.iterdir()), [])
        return text, errors

    def verdicts(self, *arguments, code=0):
        text, errors = self.run_to_end("drill", "run", "--json", *arguments, code=code)
        return json.loads(text), errors

    def until(self, condition, what):
        deadline = time.monotonic() + PATIENCE
        while not (found := condition()):
            self.assertLess(time.monotonic(), deadline, f"{what} did not happen in time")
            time.sleep(0.01)
        return found


class Verdicts(DrillTest):

    def test_worker_killed_passes(self):
        (one,), _ = self.verdicts("worker-killed")
        self.assertEqual((one["verdict"], one["why"], one["lost"]), ("pass", "", 0))
        self.assertEqual(one["sent"], one["answered"])
        self.assertEqual(one["twice"], 1)
        self.assertLessEqual(one["recovery_ms"], one["recovery_ms_max"])

    def test_drill_that_loses_a_request_fails(self):
        (one,), errors = self.verdicts("worker-killed", "--broker-option", "--attempts=1", code=1)
        self.assertEqual((one["verdict"], one["lost"], one["twice"]), ("fail", 1, 0))
        self.assertNotIn("recovery_ms", one)
        self.assertIn("lost", one["why"])
        self.assertRegex(errors, r"galleon: worker-killed, run 1: .* \(seed \d+\)\.\n")
        self.assertIn("MDP-REQUEST-GIVEN-UP", errors)

    def test_drill_that_takes_too_long_fails(self):
        (one,), errors = self.verdicts("worker-killed", "--broker-option", "--heartbeat=4000",
                                       code=1)
        self.assertEqual((one["verdict"], one["lost"], one["twice"]), ("fail", 0, 1))
        self.assertGreater(one["recovery_ms"], one["recovery_ms_max"])
        self.assertRegex(errors, r"recovered after \d+ ms, not within 1500")

    def test_drill_that_harms_a_network_can_fail(self):
        (one,), _ = self.verdicts("network-cut", "--broker-option", "--attempts=1", code=1)
        self.assertEqual(one["verdict"], "fail")
        self.assertGreaterEqual(one["lost"], 1)

    def test_people_get_a_table(self):
        text, _ = self.run_to_end("drill", "run", "worker-killed", "--repeat", "2")
        head, row = [line.split() for line in text.splitlines()]
        found = dict(zip(head, row, strict=True))
        self.assertEqual((found["drill"], found["verdict"]), ("worker-killed", "pass"))
        self.assertEqual((found["runs"], found["passed"], found["lost"]), ("2", "2", "0"))
        self.assertEqual(found["sent"], found["answered"])

    def test_list_names_every_drill_and_its_targets(self):
        text, _ = self.run_to_end("drill", "ls")
        rows = json.loads(self.run_to_end("drill", "ls", "--json")[0])
        self.assertEqual([line.split()[0] for line in text.splitlines()[1:]],
                         [row["drill"] for row in rows])
        for row in rows:
            self.assertGreater(row["recovery_ms_max"], 0)


class EveryDrill(DrillTest):

    PAIRS = "primary-killed"        # the first that is about a pair; so are all that follow

    def test_every_drill_passes_once_within_a_minute_and_a_half(self):
        """Those of a pair wait more than they work: they run beside the others."""
        start = time.monotonic()
        rows = json.loads(self.run_to_end("drill", "ls", "--json")[0])
        names = [row["drill"] for row in rows]
        pairs = names.index(self.PAIRS)
        runs = [self.start("drill", "run", "--json", *names[:pairs]),
                self.start("drill", "run", "--json", *names[pairs:])]
        said = [run.communicate(timeout=PATIENCE) for run in runs]
        errors = "".join(text for _, text in said)
        self.assertLess(time.monotonic() - start, 90)
        self.assertEqual(list(self.folder.iterdir()), [])
        found = [one for text, _ in said for one in json.loads(text)]
        self.assertEqual([one["drill"] for one in found], names)
        for one in found[pairs:]:
            with self.subTest(drill=one["drill"]):
                self.assertEqual((one["mode"], one["dual"]), ("guarded", 0))
                self.assertEqual(one["recovery_ms"],
                                 max(one["outage_g1_ms"], one["outage_old_ms"]))
        for one, row in zip(found, rows, strict=True):
            with self.subTest(drill=one["drill"]):
                self.assertEqual((one["verdict"], one["lost"], one["wrong"]), ("pass", 0, 0),
                                 one["why"] + errors)
                self.assertEqual(one["sent"], one["answered"] + one["refused"])
                self.assertLessEqual(one["recovery_ms"], row["recovery_ms_max"])
                self.assertLessEqual(one["twice"], row["twice_max"])
        twice = {one["drill"]: one["twice"] for one in found}
        for name in ("worker-killed", "worker-frozen", "worker-hung", "pirate-worker-killed",
                     "pirate-worker-frozen"):
            self.assertEqual(twice[name], 1)        # its first worker had begun, that was the harm
        # Who went on after the harm answered what another had answered, and that was dropped.
        self.assertEqual({one["drill"] for one in found if one["late_dropped"] > 0},
                         {"worker-frozen", "worker-hung", "network-cut", "network-half-open",
                          "pirate-worker-frozen"})
        refused = {one["drill"] for one in found if one["refused"]}
        self.assertEqual(refused, {"slow-service"})


class Pairs(DrillTest):
    """What is told of a pair: how long clients waited, and who served when."""

    def test_halves_that_serve_are_named_and_outages_distributed(self):
        found, _ = self.verdicts("primary-killed", "--fast", "--repeat", "2")
        *runs, summary = found
        for one in runs:
            self.assertEqual({reign["half"] for reign in one["reigns"]}, {"primary", "backup"})
            first, second, *_ = one["reigns"]
            self.assertLess(first["epoch"], second["epoch"])
            self.assertLess(first["to_ms"], second["from_ms"])
        self.assertEqual((summary["runs"], summary["passed"], summary["lost"]), (2, 2, 0))
        for kind in ("outage_g1_ms", "outage_old_ms"):
            outages = sorted(one[kind] for one in runs)
            self.assertEqual([summary[kind][name] for name in ("p50", "p99", "max")],
                             [outages[0], outages[1], outages[1]])

    def test_people_are_told_too(self):
        text, _ = self.run_to_end("drill", "run", "planned-switchover", "--fast", "--dialect", "g1")
        self.assertRegex(text, r"outage of G1 clients: p50 \d+ ms, p99 \d+ ms, max \d+ ms\n")
        self.assertRegex(text, r"(primary|backup) served, epoch \d+, from -\d+ ms to \d+ ms \(0: the harm\)")
        self.assertNotIn("0.1", text)

    def test_pair_without_a_witness_takes_over_too(self):
        (one,), _ = self.verdicts("primary-killed", "--mode", "classic", "--dialect", "0.1")
        self.assertEqual((one["mode"], one["verdict"], one["lost"]), ("classic", "pass", 0))
        self.assertNotIn("outage_g1_ms", one)

    def test_preloaded_clock_is_stepped(self):
        clock = self.folder / "clock"
        clock.write_bytes((24 * 3600).to_bytes(8, "little") + bytes(16))
        self.addCleanup(lambda: clock.exists() and clock.unlink())
        now = time.time()
        told = subprocess.run(
            ["date", "+%s"], check=True, capture_output=True, text=True,
            env={"GALLEON_CLOCK": str(clock), "LD_PRELOAD": str(FOLDER / "step_clock.so")}).stdout
        self.assertAlmostEqual(int(told), now + 24 * 3600, delta=60)

    def test_twenty_failovers_take_thirty_seconds(self):
        """Two at a time: a pair waits more than it works."""
        start = time.monotonic()
        runs = [self.start("drill", "run", "--json", "primary-killed", "--fast", "--repeat", "10")
                for _ in range(2)]
        for run in runs:
            text, errors = run.communicate(timeout=PATIENCE)
            self.assertEqual(run.returncode, 0, f"{text}\n{errors}")
            *_, summary = json.loads(text)
            self.assertEqual((summary["passed"], summary["lost"]), (10, 0))
        self.assertLess(time.monotonic() - start, 30)


class Losing(DrillTest):
    """The library that stands between titanic and its disk."""

    # All by which a program could change a file behind a name or a descriptor, or have it synced.
    # (SQLite has mmap64 too; page_vfs.c offers it nothing to map, and mmap_size is 0.)
    CHANGES = set("""
        open open64 openat openat64 creat creat64 __open_2 __open64_2 __openat_2 __openat64_2 fopen
        fopen64 freopen freopen64 mkstemp mkstemp64 mkostemp mkostemp64 write pwrite pwrite64 writev
        pwritev pwritev2 pwritev64 pwritev64v2 ftruncate ftruncate64 truncate truncate64 fallocate
        fallocate64 posix_fallocate posix_fallocate64 rename renameat renameat2 unlink unlinkat
        remove link linkat symlink symlinkat copy_file_range sendfile sendfile64 splice tee vmsplice
        fsync fdatasync sync syncfs sync_file_range msync syscall""".split())

    def symbols(self, path, which):
        text = subprocess.run(["nm", "-D", which, path], check=True, capture_output=True,
                              text=True).stdout
        return {line.split()[-1].partition("@")[0] for line in text.splitlines()}

    def test_every_call_by_which_titanic_changes_files_goes_through_it(self):
        ours = self.symbols(FOLDER / "lose_unsynced.so", "--defined-only")
        libraries = subprocess.run(["ldd", FOLDER / "titanic"], check=True, capture_output=True,
                                   text=True).stdout
        sqlite = re.search(r"libsqlite3\S* => (\S+)", libraries)[1]
        for path in (FOLDER / "titanic", sqlite):
            with self.subTest(path=path):
                calls = self.symbols(path, "--undefined-only") & self.CHANGES
                self.assertIn("unlink", calls)
                self.assertEqual(calls - ours, set())

    def test_power_cut_takes_what_was_not_synced_and_is_repeated_by_its_seed(self):
        found, _ = self.verdicts("titanic-power-cut", "--seed", "5", "--repeat", "2")
        self.assertEqual([one["seed"] for one in found], [5, 6])
        for one in found:
            self.assertEqual((one["verdict"], one["why"]), ("pass", ""))
            self.assertEqual(one["sent"], one["answered"])
            self.assertGreater(one["unsynced"], one["unsynced_lost"])
            self.assertGreater(one["unsynced_lost"], 0)


class OtherDialects(DrillTest):
    """Clients and workers of 7/MDP and 18/MDP. What they cannot show is refused by name."""

    def test_what_they_can_do_passes_too(self):
        names = ["broker-restarted", "worker-frozen", "worker-killed"]
        for dialect in ("0.1", "0.2"):
            found, errors = self.verdicts(*names, "--dialect", dialect)
            self.assertEqual(sorted(one["drill"] for one in found), names)
            for one in found:
                with self.subTest(dialect=dialect, drill=one["drill"]):
                    self.assertEqual((one["verdict"], one["lost"], one["wrong"]), ("pass", 0, 0),
                                     one["why"] + errors)
                    self.assertEqual(one["sent"], one["answered"])


class WrongUse(DrillTest):

    def test_wrong_lines_are_explained(self):
        rows = (
            (["drill", "run", "worker-kiled"], "did you mean 'worker-killed'?"),
            (["drill", "run", "xxxxxxxxxx"], "'galleon drill ls' lists them."),
            (["drill", "run"], "'drill run' needs a drill"),
            (["drill", "run", "all", "--broker", "tcp://a:1"], "'drill run' takes no --broker."),
            (["stat", "--repeat", "3"], "--repeat is an option of 'drill run', not of 'stat'."),
            (["drill", "ls", "--seed", "1"], "--seed is an option of 'drill run', not of 'drill ls'."),
            (["drill", "ls", "all"], "'drill ls' takes no 'all'."),
            (["drill", "ls", "--dialect", "0.1"], "'drill ls' takes no --dialect."),
            (["drill", "run", "witness-killed", "--mode", "classic"],
             "drill 'witness-killed' is about the witness; it takes no --mode classic."),
            (["drill", "ls", "--fast"], "--fast is an option of 'drill run', not of 'drill ls'."),
            (["drill", "run", "slow-service", "--dialect", "0.2"],
             "drill 'slow-service' is about MDP/G1; it takes no other --dialect."),
        )
        for arguments, sentence in rows:
            with self.subTest(arguments=arguments):
                self.assertIn(sentence, self.run_to_end(*arguments, code=2)[1])

    def test_broker_that_cannot_start_is_a_failure_with_its_words(self):
        (one,), errors = self.verdicts("worker-killed", "--broker-option", "--nonsense", code=1)
        self.assertEqual(one["why"], "mdbroker ended by itself, with exit code 2")
        self.assertIn("there is no option --nonsense", errors)

    def test_broker_that_is_not_there_is_a_failure_with_its_name(self):
        alone = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, alone)
        shutil.copy(FOLDER / "galleon", alone)
        self.environment["PATH"] = "/usr/bin:/bin"
        _, errors = self.run_to_end("drill", "run", "worker-killed", code=1,
                                    program=alone / "galleon")
        self.assertIn("cannot run mdbroker: No such file", errors)

    def test_folder_that_cannot_be_made_is_a_failure(self):
        self.environment["TMPDIR"] = "/nowhere"
        (one,), _ = self.verdicts("worker-killed", code=1)
        self.assertIn("cannot make a folder in /nowhere", one["why"])

    def test_too_few_descriptors_are_said(self):
        limited = self.folder.parent / f"{self.folder.name}.limited"
        limited.write_text(f"#!/bin/sh\nulimit -n 1024\nexec {FOLDER / 'galleon'} \"$@\"\n")
        limited.chmod(0o755)
        self.addCleanup(limited.unlink)
        _, errors = self.run_to_end("drill", "run", "worker-flood", code=1, program=limited)
        self.assertIn("each process needs 2500 descriptors, and may have 1024", errors)


class Ending(DrillTest):

    def start_and_await_children(self):
        process = self.start("drill", "run", "worker-killed", "--repeat", "1000")
        children = self.until(lambda: len(found := children_of(process.pid)) >= 4 and found,
                              "broker and workers")
        return process, children

    def assert_all_gone(self, children):
        self.until(lambda: not any(pathlib.Path(f"/proc/{pid}").exists() for pid in children),
                   "the end of the children")

    def test_interrupted_drill_cleans_up(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with self.subTest(signal=number):
                process, children = self.start_and_await_children()
                process.send_signal(number)
                _, errors = process.communicate(timeout=PATIENCE)
                self.assertEqual(process.returncode, 1, errors)
                self.assertIn("interrupted", errors)
                self.assertEqual(list(self.folder.iterdir()), [])
                self.assert_all_gone(children)

    def test_killed_drill_leaves_no_process(self):
        process, children = self.start_and_await_children()
        process.kill()
        process.communicate(timeout=PATIENCE)
        self.assert_all_gone(children)


if __name__ == "__main__":
    unittest.main()
