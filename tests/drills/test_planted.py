#!/usr/bin/env python3
"""test_planted.py - does a drill fail where what it drills is broken?

Brokers with a bug that was planted (tests/sim/plant.py has them by number), brokers that die, come
too late, or are told not to do what the drill is about. Usage: test_planted.py [-v] MDBROKER, one
that carries the bugs. Most drills wait long before they give up: those run where GALLEON_LONG is set.
"""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = pathlib.Path(os.environ.get("GALLEON_BIN") or ROOT / "build" / "asan")
PLANTED = None          # the broker that carries the bugs
PATIENCE = 120          # seconds

is_slow = unittest.skipUnless(os.environ.get("GALLEON_LONG"), "slow: GALLEON_LONG is not set")


class BrokenBroker(unittest.TestCase):
    """The tool takes the mdbroker that lies next to it, which is ours."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        shutil.copy(FOLDER / "galleon", self.folder)

    def put_script(self, text):
        path = self.folder / "mdbroker"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def run_drill(self, *line, code, **environment):
        (one,) = self.run_drills(*line, code=code, **environment)
        return one

    def run_drills(self, name, *options, code, **environment):
        run = subprocess.run(
            [self.folder / "galleon", "drill", "run", name, "--json", *options],
            env={**os.environ, **environment}, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=PATIENCE, check=False)
        self.assertEqual(run.returncode, code, run.stdout + run.stderr)
        return json.loads(run.stdout)

    def assert_fails_with(self, name, number, why):
        os.symlink(PLANTED, self.folder / "mdbroker")
        one = self.run_drill(name, GALLEON_PLANT=str(number), code=1)
        self.assertEqual(one["verdict"], "fail")
        self.assertRegex(one["why"], why)
        return one

    def test_broker_that_carries_bugs_is_well_without_them(self):
        os.symlink(PLANTED, self.folder / "mdbroker")
        one = self.run_drill("worker-killed", code=0)
        self.assertEqual(one["verdict"], "pass")

    def test_client_gone_fails_where_its_requests_run_on(self):
        self.assert_fails_with("client-gone", 100, "requests ran for a client that was dead")

    def test_worker_hung_fails_where_nothing_is_tried_again(self):
        os.symlink(PLANTED, self.folder / "mdbroker")
        one = self.run_drill("worker-hung", "--broker-option=--attempts=1", code=1)
        self.assertEqual((one["verdict"], one["lost"]), ("fail", 1))

    def test_slow_service_fails_where_all_services_share_what_is_scarce(self):
        os.symlink(PLANTED, self.folder / "mdbroker")
        one = self.run_drill("slow-service", "--broker-option=--queue-limit=1", code=1)
        self.assertEqual(one["verdict"], "fail")
        self.assertGreater(one["lost"], 0)

    def put_titanic(self, text):
        """Put a titanic in the tool's way that does something else as well; "$@" are its options."""
        os.symlink(FOLDER / "mdbroker", self.folder / "mdbroker")
        path = self.folder / "titanic"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def assert_pirate_fails_with(self, name, number, why, *options):
        os.symlink(PLANTED.parent / "ppqueue", self.folder / "ppqueue")
        one = self.run_drill(name, *options, GALLEON_PLANT=str(number), code=1)
        self.assertEqual(one["verdict"], "fail")
        self.assertRegex(one["why"], why)
        return one

    @is_slow
    def test_pirate_worker_killed_fails_where_nothing_is_tried_again(self):
        one = self.assert_pirate_fails_with("pirate-worker-killed", 0, "harmed worker .* not within",
                                            "--broker-option=--attempts=1")
        self.assertEqual(one["lost"], 1)

    def test_pirate_worker_frozen_fails_where_a_late_answer_is_passed_on(self):
        self.assert_pirate_fails_with("pirate-worker-frozen", 4, "a late answer was passed on")

    def test_pirate_queue_restarted_fails_where_the_queue_comes_too_late(self):
        path = self.folder / "ppqueue"
        path.write_text(f"#!/bin/sh\n[ -e {self.folder}/again ] && sleep 6\n"
                        f'touch {self.folder}/again\nexec {FOLDER}/ppqueue "$@"\n')
        path.chmod(0o755)
        one = self.run_drill("pirate-queue-restarted", code=1)
        self.assertRegex(one["why"], "recovered after .* ms, not within 5000")

    def test_titanic_killed_fails_where_the_store_is_lost(self):
        self.put_titanic(f'rm -f "${{4#sqlite:}}"*; exec {FOLDER}/titanic "$@"')
        one = self.run_drill("titanic-killed", code=1)
        self.assertEqual(one["why"], "an acknowledged request is unknown")

    def test_titanic_worker_killed_fails_where_nothing_is_tried_again(self):
        self.put_titanic(f'exec {FOLDER}/titanic "$@" --attempts 1')
        one = self.run_drill("titanic-worker-killed", "--broker-option=--attempts=1", code=1)
        self.assertRegex(one["why"], "an acknowledged request is not answered")

    def test_titanic_disk_full_fails_where_it_accepts_all_the_same(self):
        self.put_titanic(f'exec {FOLDER}/titanic "$@" --free-min 1')
        one = self.run_drill("titanic-disk-full", code=1)
        self.assertEqual(one["why"], "titanic accepts with a disk that is full")

    def test_process_that_ends_by_itself_fails_a_drill_also_with_exit_code_0(self):
        """A broker that leaves somebody to serve on, while the drill looks at titanic alone."""
        self.put_titanic(f'touch {self.folder}/began; exec {FOLDER}/titanic "$@"')
        (self.folder / "mdbroker").unlink()
        self.put_script(f'{FOLDER}/mdbroker "$@" &\necho $! >{self.folder}/pid\n'
                        f'until [ -e {self.folder}/began ]; do sleep 0.02; done')
        self.addCleanup(lambda: os.kill(int((self.folder / "pid").read_text()), signal.SIGKILL))
        one = self.run_drill("titanic-killed", code=1)
        self.assertEqual(one["why"], "mdbroker ended by itself, with exit code 0")

    def test_titanic_broker_restarted_fails_where_the_broker_comes_too_late(self):
        os.symlink(FOLDER / "titanic", self.folder / "titanic")
        self.put_script(f'[ -e {self.folder}/again ] && sleep 6\n'
                        f'touch {self.folder}/again\nexec {FOLDER}/mdbroker "$@"')
        one = self.run_drill("titanic-broker-restarted", code=1)
        self.assertRegex(one["why"], "recovered after .* ms, not within 5000")

    def put_losing_titanic(self, text):
        os.symlink(FOLDER / "lose_unsynced.so", self.folder / "lose_unsynced.so")
        self.put_titanic(text)

    # What shows first that something is missing depends on what the cut has left.
    MISSING = "an acknowledged request is unknown|one key has two ids|a closed request is there"
    REFUSED = "titanic \\d+ ended by itself|'galleon store check' ended"

    def test_titanic_power_cut_fails_where_the_disk_lies_about_its_syncs(self):
        library = os.environ["GALLEON_LYING_SYNC_LIBRARY"]
        self.put_losing_titanic(f'LD_PRELOAD="{library}:$LD_PRELOAD" exec {FOLDER}/titanic "$@"')
        one = self.run_drill("titanic-power-cut", "--seed=1", code=1)
        self.assertEqual(one["verdict"], "fail")
        self.assertRegex(one["why"], f"{self.MISSING}|{self.REFUSED}")
        self.assertGreater(one["unsynced_lost"], 0)

    def test_titanic_power_cut_fails_where_not_every_commit_is_synced(self):
        """What goes then may go, which need not be in each run: the store is whole, and goes on."""
        self.put_losing_titanic(f'exec {FOLDER}/titanic "$@" --durability relaxed')
        runs = self.run_drills("titanic-power-cut", "--seed=3", "--repeat=3", code=1)
        for one in runs:
            if one["verdict"] == "fail":
                self.assertRegex(one["why"], self.MISSING)

    def test_titanic_power_cut_fails_where_nothing_can_be_lost(self):
        self.put_losing_titanic(f'unset LD_PRELOAD; exec {FOLDER}/titanic "$@"')
        one = self.run_drill("titanic-power-cut", code=1)
        self.assertEqual(one["verdict"], "fail")
        self.assertRegex(one["why"], "titanic does not run on the disk that loses|nothing was lost")

    def test_titanic_power_cut_fails_without_what_it_preloads(self):
        self.put_titanic(f'exec {FOLDER}/titanic "$@"')
        one = self.run_drill("titanic-power-cut", code=1)
        self.assertRegex(one["why"], "^lose_unsynced.so is not found")

    @is_slow
    def test_broker_that_dies_fails_a_drill(self):
        self.put_script(f'(sleep 1; kill -9 $$) & exec {PLANTED} "$@"')
        one = self.run_drill("broker-frozen", code=1)
        self.assertEqual(one["why"], "mdbroker ended by itself, by signal 9")

    @is_slow
    def test_broker_restarted_fails_where_the_broker_is_back_too_late(self):
        self.put_script(f'[ -e "$0.was" ] && sleep 6; touch "$0.was"; exec {PLANTED} "$@"')
        one = self.run_drill("broker-restarted", code=1)
        self.assertRegex(one["why"], "recovered after [0-9]+ ms, not within 5000")
        self.assertEqual(one["lost"], 0)

    @is_slow
    def test_end_of_a_connection_that_is_ignored_fails(self):
        for name in ("worker-killed", "network-cut"):
            with self.subTest(drill=name):
                self.assert_fails_with(name, 2, "request of the harmed worker is answered: not")
                (self.folder / "mdbroker").unlink()

    @is_slow
    def test_request_that_is_not_queued_again_fails(self):
        one = self.assert_fails_with("worker-killed", 3, "harmed worker is answered: not within")
        self.assertGreater(one["lost"], 0)

    @is_slow
    def test_silence_of_a_link_that_is_ignored_fails(self):
        for name in ("worker-frozen", "network-half-open"):
            with self.subTest(drill=name):
                self.assert_fails_with(name, 101, "request of the harmed worker is answered: not")
                (self.folder / "mdbroker").unlink()


class BrokenPair(unittest.TestCase):
    """A broker and a tool that carry bugs of a pair (tests/drills/plant.py has them by number)."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        planted = pathlib.Path(os.environ["GALLEON_PLANTED_PAIR"]).resolve()
        shutil.copy(planted / "galleon", self.folder)
        os.symlink(planted / "mdbroker", self.folder / "mdbroker")
        for name in ("starwitness", "step_clock.so"):
            os.symlink(FOLDER / name, self.folder / name)

    def run_drill(self, name, number, *options, code=1):
        run = subprocess.run(
            [self.folder / "galleon", "drill", "run", name, "--json", *options],
            env={**os.environ, "GALLEON_PLANT": str(number)}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=PATIENCE, check=False)
        if code is not None:
            self.assertEqual(run.returncode, code, run.stdout + run.stderr)
        (one,) = json.loads(run.stdout)
        return one

    def assert_fails_with(self, name, number, why, *options):
        one = self.run_drill(name, number, *options)
        self.assertEqual(one["verdict"], "fail")
        self.assertRegex(one["why"], why)
        return one

    def test_pair_that_carries_bugs_is_well_without_them(self):
        self.assertEqual(self.run_drill("planned-switchover", 0, code=0)["verdict"], "pass")

    def test_clients_on_each_side_fails_where_the_passive_half_serves(self):
        self.assert_fails_with("clients-on-each-side", 1,
                               "the side of the passive half is answered")

    def test_primary_frozen_fails_where_what_has_waited_is_served(self):
        one = self.assert_fails_with("primary-frozen", 2, "requests ran that had waited for the half that was")
        self.assertEqual(one["dual"], 0)        # workers that know epochs refuse it

    def test_primary_frozen_fails_where_workers_do_not_look_at_epochs(self):
        one = self.assert_fails_with("primary-frozen", 3, "two halves served at once")
        self.assertGreater(one["dual"], 0)
        self.assertGreater(one["stale"], 0)

    def test_planned_switchover_fails_where_what_is_under_way_is_dropped(self):
        # How much is under way at that moment is chance, and one may be, for clients of 0.1.
        for _ in range(5):
            one = self.run_drill("planned-switchover", 4, code=None)
            if one["verdict"] == "fail":
                break
        self.assertRegex(one["why"], "requests run twice: [2-9], at most 1 may")

    @is_slow
    def test_primary_killed_fails_where_clients_do_not_go_to_the_other_half(self):
        self.assert_fails_with("primary-killed", 5, "each client is answered: not within")

    def test_planned_switchover_fails_where_what_is_sent_carries_no_epoch(self):
        self.assert_fails_with("planned-switchover", 6, "runs were asked for under no epoch",
                               "--dialect=g1")

    def test_clock_step_fails_where_leases_are_counted_on_the_wall_clock(self):
        self.assert_fails_with("clock-step", 7, "reigns, and nobody was harmed who serves")

    def test_clock_step_fails_where_no_clock_is_stepped(self):
        (self.folder / "step_clock.so").unlink()
        os.symlink(FOLDER / "lose_unsynced.so", self.folder / "step_clock.so")
        self.assert_fails_with("clock-step", 0, "the clocks of 0 processes were stepped, not of 5")

    @is_slow
    def test_primary_killed_fails_where_the_other_half_is_too_patient(self):
        self.assert_fails_with("primary-killed", 0, "recovered after .* ms, not within 5000",
                               "--broker-option=--pair-heartbeat=1500")


if __name__ == "__main__":
    PLANTED = pathlib.Path(sys.argv.pop()).resolve()
    unittest.main()
