"""A server that is half of a pair: with a half of the Guide's, killed, stopped; and starwitness.

    GALLEON_BIN=build/asan /usr/bin/python3 tests/interop/test_bstar.py [-v]
"""

import os
import pathlib
import resource
import signal
import shutil
import subprocess
import tempfile
import time
import unittest

import zmq

from peers import DEADLINE
from support import Program, program, run

PRIMARY, BACKUP, ACTIVE, PASSIVE = b"1", b"2", b"3", b"4"


class PairTest(unittest.TestCase):
    """A folder of its own for endpoints and records, and a context."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="galleon-pair-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.context = zmq.Context()
        self.addCleanup(self.context.destroy, 0)
        self.programs = {}

    def end(self, name):
        return f"ipc://{self.folder}/{name}"

    def start(self, role, *more):
        peer = "backup" if role == "primary" else "primary"
        half = Program("pair_server", role, self.end(role + "-serve"), self.end(role),
                       self.end(peer), *more)
        self.addCleanup(half.kill)
        half.ready()
        self.programs[role] = half
        return half

    def until(self, is_so, what):
        deadline = time.monotonic() + 2 * DEADLINE
        while not is_so():
            self.assertLess(time.monotonic(), deadline, what)
            time.sleep(0.01)

    def has_said(self, role, line):
        return line in [said.strip() for said in self.programs[role].output]

    def is_active(self, role):
        """The last of its lines says so."""
        output = self.programs[role].output
        return bool(output) and output[-1].split()[-1] == b"ACTIVE"

    def answers(self, role, timeout_ms=100):
        """Ask once, on a socket of its own; the role that answered, or None."""
        client = self.context.socket(zmq.REQ)
        client.linger = 0
        try:
            client.connect(self.end(role + "-serve"))
            client.send(b"who")
            if client.poll(timeout_ms):
                return client.recv_multipart()[-1].decode()
            return None
        finally:
            client.close()


# ---- Two of ours --------------------------------------------------------------------------------


class Classic(PairTest):
    """Two halves as processes."""

    def test_a_killed_half_is_replaced_by_a_client_that_asks(self):
        self.start("primary")
        self.start("backup")
        self.until(lambda: self.is_active("primary"), "primary serves")
        self.until(lambda: self.has_said("backup", b"WAITING PASSIVE"), "backup watches")
        self.assertEqual(self.answers("primary", 10000), "primary")
        self.programs["primary"].kill()
        self.until(lambda: self.answers("backup") == "backup", "backup serves")
        self.start("primary")
        self.until(lambda: self.has_said("primary", b"WAITING PASSIVE"), "primary follows")
        self.assertIsNone(self.answers("primary"))

    def test_a_stopped_half_hands_over_without_being_asked(self):
        self.start("primary")
        self.start("backup")
        self.until(lambda: self.is_active("primary"), "primary serves")
        self.until(lambda: self.has_said("backup", b"WAITING PASSIVE"), "backup watches")
        self.programs["primary"].stop()
        self.until(lambda: self.is_active("backup"), "backup serves")
        self.programs["backup"].stop()

    def test_a_half_that_was_frozen_yields_when_it_wakes(self):
        self.start("primary")
        self.start("backup")
        self.until(lambda: self.is_active("primary"), "primary serves")
        self.until(lambda: self.has_said("backup", b"WAITING PASSIVE"), "backup watches")
        self.programs["primary"].signal(signal.SIGSTOP)
        self.until(lambda: self.answers("backup") == "backup", "backup serves")
        self.programs["primary"].signal(signal.SIGCONT)
        self.until(lambda: self.programs["primary"].output[-1].split()[-1] == b"PASSIVE", "yields")
        self.assertTrue(self.is_active("backup"))


# ---- One of ours, one of the Guide's -------------------------------------------------------------


class GuideHalf:
    """The machine of the Guide's bstar.c, by the table in its text. It ends itself as that does."""

    def __init__(self, test, role):
        self.state = PRIMARY if role == "primary" else BACKUP
        peer = "backup" if role == "primary" else "primary"
        self.mouth = test.context.socket(zmq.PUB)
        self.mouth.bind(test.end(role))
        self.ear = test.context.socket(zmq.SUB)
        self.ear.subscribe(b"")
        self.ear.connect(test.end(peer))
        self.heard, self.is_over = [], False
        self.say_at = self.expiry = time.monotonic()

    def on_peer(self, digit):
        self.heard.append(digit)
        if self.state == PRIMARY and digit == BACKUP or self.state == PASSIVE and \
                digit in (PRIMARY, BACKUP):
            self.state = ACTIVE
        elif self.state in (PRIMARY, BACKUP) and digit == ACTIVE:
            self.state = PASSIVE
        elif self.state == digit and digit in (ACTIVE, PASSIVE):
            self.is_over = True         # "fatal error"

    def vote(self):
        """A client asks; may it be served?"""
        if self.state in (PRIMARY, PASSIVE) and time.monotonic() > self.expiry:
            self.state = ACTIVE
        return self.state == ACTIVE

    def turn(self):
        if self.ear.poll(10):
            frames = self.ear.recv_multipart()
            assert len(frames) == 1 and len(frames[0]) == 1, frames
            self.expiry = time.monotonic() + 2
            self.on_peer(frames[0])
        if time.monotonic() >= self.say_at and not self.is_over:
            self.mouth.send(self.state)
            self.say_at = time.monotonic() + 1

    def close(self):
        self.mouth.close(0)
        self.ear.close(0)


class WithTheGuide(PairTest):
    """Bare digits, both ways."""

    def pump(self, guide, is_so, what):
        deadline = time.monotonic() + 2 * DEADLINE
        while not is_so():
            self.assertLess(time.monotonic(), deadline, what)
            guide.turn()

    def test_our_primary_serves_and_the_guides_backup_takes_over(self):
        guide = GuideHalf(self, "backup")
        self.start("primary", "guide")
        self.pump(guide, lambda: self.is_active("primary") and guide.state == PASSIVE, "settled")
        self.programs["primary"].kill()
        self.pump(guide, guide.vote, "the Guide's half serves")
        self.start("primary", "guide")
        self.pump(guide, lambda: self.has_said("primary", b"WAITING PASSIVE"), "ours follows")
        self.assertFalse(guide.is_over)
        guide.close()

    def test_our_backup_takes_over_from_the_guides_primary(self):
        guide = GuideHalf(self, "primary")
        self.start("backup", "guide")
        self.pump(guide, lambda: guide.state == ACTIVE and
                  self.has_said("backup", b"WAITING PASSIVE"), "settled")
        self.assertFalse(guide.is_over)
        guide.close()
        self.until(lambda: self.answers("backup") == "backup", "ours serves")

    def test_our_half_that_leaves_is_followed_at_once(self):
        guide = GuideHalf(self, "backup")
        self.start("primary", "guide")
        self.pump(guide, lambda: self.is_active("primary") and guide.state == PASSIVE, "settled")
        self.programs["primary"].stop()
        self.pump(guide, lambda: guide.state == ACTIVE, "the Guide's half serves, unasked")
        self.assertEqual(guide.heard[-1], PRIMARY)
        guide.close()


# ---- With a witness -----------------------------------------------------------------------------


class Guarded(PairTest):
    """Three processes, of which two decide."""

    def witness(self, *more):
        witness = Program("starwitness", "--bind", self.end("witness"), "--state",
                          self.folder / "witness.vote", *more)
        self.addCleanup(witness.kill)
        self.assertEqual(witness.ready(), self.end("witness"))
        return witness

    def start_guarded(self, role):
        record = self.folder / (role + ".vote")
        first = [] if record.exists() else ["init"]
        return self.start(role, self.end("witness"), record, *first)

    def settled(self):
        return self.is_active("primary") != self.is_active("backup") and \
            all(self.programs[role].output for role in self.programs)

    def start_all(self):
        witness = self.witness("--pair-init")
        self.start_guarded("primary")
        self.start_guarded("backup")
        self.until(lambda: self.is_active("primary") or self.is_active("backup"), "one serves")
        active = "primary" if self.is_active("primary") else "backup"
        return witness, active, "backup" if active == "primary" else "primary"

    def test_a_killed_half_is_replaced_without_being_asked(self):
        _, active, other = self.start_all()
        self.assertEqual(self.answers(active, 10000), active)
        self.assertIsNone(self.answers(other))
        self.programs[active].kill()
        self.until(lambda: self.is_active(other), "the other serves")
        self.assertEqual(self.answers(other, 10000), other)
        self.start_guarded(active)
        self.until(lambda: self.has_said(active, b"WAITING PASSIVE"), "it watches")

    def test_a_frozen_half_serves_nobody_when_it_wakes(self):
        _, active, other = self.start_all()
        self.programs[active].signal(signal.SIGSTOP)
        client = self.context.socket(zmq.REQ)
        client.linger = 0
        client.connect(self.end(active + "-serve"))
        client.send(b"stale")
        self.until(lambda: self.is_active(other), "the other serves")
        self.programs[active].signal(signal.SIGCONT)
        self.until(lambda: not self.is_active(active), "it knows")
        self.assertFalse(client.poll(300))
        client.close()

    def test_a_restarted_witness_lets_the_pair_be(self):
        witness, active, other = self.start_all()
        witness.kill()
        witness = self.witness()
        self.assertEqual(self.answers(active, 10000), active)
        self.programs[active].stop()
        self.until(lambda: self.is_active(other), "the other serves")
        witness.stop()

    def test_a_witness_that_cannot_write_ends_and_votes_when_it_is_started_again(self):
        witness, active, other = self.start_all()
        none = (0, resource.RLIM_INFINITY)
        resource.prlimit(witness.process.pid, resource.RLIMIT_FSIZE, none)
        self.programs[active].stop()
        self.assertEqual(witness.wait(), 75)
        record = self.folder / "witness.vote"
        self.assertIn(f'error PAIR-RECORD file="{record}" why="the record cannot be read or '
                      'written" error="File too large"', witness.error_text())
        self.witness()
        self.until(lambda: self.is_active(other), "the other serves")


class Starwitness(PairTest):
    """Its command line."""

    def fails(self, *arguments, code, says):
        got, output, errors = run("starwitness", *arguments)
        self.assertEqual((got, output), (code, b""), errors)
        self.assertIn(says, errors)

    def test_help_and_version(self):
        code, output, _ = run("starwitness", "--help")
        self.assertEqual(code, 0)
        for option in ("bind", "state", "pair-name", "pair-init", "pair-lease", "log-level"):
            self.assertIn(b"--" + option.encode(), output)
        self.assertEqual(run("starwitness", "--version")[0], 0)

    def test_a_line_that_cannot_be_is_refused(self):
        state = self.folder / "vote"
        self.fails(code=2, says="one --bind is wanted")
        self.fails("--bind", "tcp://127.0.0.1:*", code=2, says="--state is wanted")
        self.fails("--bind", "tcp://0.0.0.0:*", "--state", state, code=2,
                   says="can be reached from other machines")
        self.fails("--bind", "tcp://127.0.0.1:*", "--state", state, "--pair-lease", "102",
                   code=2, says="whole number from 103 to 600000")
        for name in ("", "x" * 65):
            self.fails("--bind", "tcp://127.0.0.1:*", "--state", state, "--pair-name", name,
                       code=2, says="1 to 64 bytes")
        self.fails("--bind", "tcp://127.0.0.1:*", "--insecure", "--state", state, code=2,
                   says="no option --insecure")
        self.assertFalse(state.exists())

    def test_a_record_is_made_once_and_only_when_asked(self):
        state = self.folder / "vote"
        usual = ["--bind", "tcp://127.0.0.1:*", "--state", state]
        self.fails(*usual, code=1, says="there is no record")
        self.assertFalse(state.exists())
        witness = Program("starwitness", *usual, "--pair-init")
        self.addCleanup(witness.kill)
        self.assertRegex(witness.ready(), r"^tcp://127\.0\.0\.1:\d+$")
        self.fails(*usual, code=1, says="another process has the record")
        witness.stop()
        before = state.read_bytes()
        self.fails(*usual, "--pair-init", code=1, says="is there already")
        self.assertEqual(state.read_bytes(), before)
        self.fails(*usual, "--pair-name", "another", code=75, says="another member's")
        state.write_bytes(before[:100])
        self.fails(*usual, code=75, says="damaged")
        os.truncate(state, 0)
        self.fails(*usual, code=75, says="damaged")

    def test_a_limit_on_the_size_of_files_leaves_nothing_behind(self):
        state = self.folder / "vote"
        limited = subprocess.run(
            ["prlimit", "--fsize=0", program("starwitness"), "--bind", "tcp://127.0.0.1:*",
             "--state", state, "--pair-init"], capture_output=True, timeout=DEADLINE, check=False)
        self.assertEqual(limited.returncode, 1, limited.stderr)
        self.assertIn(b"cannot make %s: File too large" % bytes(state), limited.stderr)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_it_ends_by_a_signal(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            state = self.folder / f"vote-{number}"
            witness = Program("starwitness", "--bind", "tcp://127.0.0.1:*", "--state", state,
                              "--pair-init")
            self.addCleanup(witness.kill)
            witness.ready()
            witness.signal(number)
            self.assertEqual(witness.wait(), 0)


if __name__ == "__main__":
    unittest.main()
