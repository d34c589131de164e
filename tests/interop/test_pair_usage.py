"""What an operator gets wrong with a pair of mdbrokers, and what he is told; and galleon ha.

    GALLEON_BIN=build/asan /usr/bin/python3 tests/interop/test_pair_usage.py [-v]
"""

import json
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from peers import DEADLINE
from support import ROOT, Program, program, run

ANY = "tcp://127.0.0.1:*"
FAST = ["--pair-heartbeat", "50", "--pair-lease", "200"]
OTHER = {"primary": "backup", "backup": "primary"}


class PairTest(unittest.TestCase):
    """A folder for the endpoints of the members, which are ipc, and for their records."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="galleon-pair-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.halves, self.endpoints = {}, dict.fromkeys(OTHER, ANY)

    def end(self, name):
        return f"ipc://{self.folder}/{name}"

    def half(self, role, *more, **said):
        """The options of one half; what is said by name is said instead."""
        options = {"bind": ANY, "pair": role, "pair-bind": self.end(role),
                   "pair-peer": self.end(OTHER[role]), "witness": self.end("witness"),
                   "pair-state": self.folder / f"{role}.vote"}
        options |= {name.replace("_", "-"): value for name, value in said.items()}
        return [word for name, value in options.items() if value is not None
                for word in ("--" + name, value)] + list(more)

    def run_program(self, name, *arguments):
        started = Program(name, *arguments)
        self.addCleanup(started.kill)
        return started

    def start(self, role, *more, **said):
        said.setdefault("bind", self.endpoints[role])
        half = self.halves[role] = self.run_program("mdbroker", *self.half(role, *FAST, *more, **said))
        self.endpoints[role] = half.ready()
        return half

    def start_witness(self, *more):
        witness = self.run_program("starwitness", "--bind", self.end("witness"), "--state",
                               self.folder / "witness.vote", "--pair-lease", "200", *more)
        witness.ready()
        return witness

    def until(self, is_so, what):
        deadline = time.monotonic() + 2 * DEADLINE
        while not is_so():
            self.assertLess(time.monotonic(), deadline, what)
            time.sleep(0.01)

    def until_said(self, program, text):
        self.until(lambda: text in program.error_text(), text)
        return program.error_text()

    def ha(self, role, *words, code=0):
        """What galleon ha prints and complains of, of one half."""
        got, output, errors = run("galleon", "--broker", self.endpoints[role], "ha", *words)
        self.assertEqual(got, code, errors)
        return output.decode(), errors

    def status(self, *roles):
        """The halves as galleon ha says it, and what it complains of."""
        _, output, errors = run("galleon", "--broker",
                                ",".join(self.endpoints[role] for role in roles), "--json", "ha",
                                "status")
        return json.loads(output), errors

    def await_state(self, role, state):
        self.until(lambda: self.status(role)[0][0].get("state") == state, f"{role} {state}")


class Usage(PairTest):
    """What is mixed up, taken, or cannot be made. (What is missing: test_mdbroker_usage.py.)"""

    def fails(self, *arguments, says, code=2):
        got, _, errors = run("mdbroker", *arguments)
        self.assertEqual(got, code, errors)
        self.assertIn(says, errors)

    def test_endpoints_that_are_mixed_up(self):
        own, peer = self.end("primary"), self.end("backup")
        port = "tcp://127.0.0.1:5999"
        self.fails(*self.half("primary", pair_peer=own), says="not this one's")
        for half in (own, peer):
            self.fails(*self.half("primary", witness=half), says="--witness is a starwitness's")
        for name in ("pair_bind", "pair_peer"):
            self.fails(*self.half("primary", bind=port, **{name: port}),
                       says="the halves need another port")
        self.fails(*self.half("primary", bind=port, pair_redirect=port),
                   says="--pair-redirect is the other half's --bind")

    def test_records_that_cannot_be_made(self):
        self.fails(*self.half("primary", pair_state=""), says="a file is wanted")
        nowhere = self.folder / "nowhere" / "vote"
        self.fails(*self.half("primary", "--pair-init", pair_state=nowhere), code=1,
                   says=f"cannot make {nowhere}: No such file or directory")
        self.fails(*self.half("primary", "--pair-init", pair_state="/proc/vote"), code=1,
                   says="cannot make /proc/vote: ")
        code, _, errors = run("starwitness", "--bind", self.end("witness"), "--state",
                              "/proc/vote", "--pair-init")
        self.assertEqual(code, 1)
        self.assertIn("cannot make /proc/vote: ", errors)
        # A record that was made is not what cannot be bound.
        self.fails(*self.half("primary", "--pair-init", pair_bind=f"ipc://{nowhere}"), code=1,
                   says=f"cannot bind ipc://{nowhere}")

    def test_a_half_that_is_started_twice(self):
        self.start("primary", "--pair-init")
        self.fails(*self.half("primary"), code=1, says="is this half running already?")


class Operator(PairTest):
    """A pair that runs, or does not, and galleon ha."""

    def start_all(self):
        self.start_witness("--pair-init")
        for role, state in (("primary", "ACTIVE"), ("backup", "PASSIVE")):
            self.start(role, "--pair-init")
            self.await_state(role, state)

    def test_a_switch_there_and_back(self):
        self.start_all()
        for was, other in (("primary", "backup"), ("backup", "primary")):
            self.assertEqual(self.ha(was, "demote"), ("demote: accepted\n", ""))
            self.await_state(other, "ACTIVE")
            self.await_state(was, "PASSIVE")

    def test_a_promotion_that_comes_to_nothing_is_said(self):
        self.start_all()
        began = time.monotonic()
        output, errors = self.ha("backup", "promote", code=1)
        self.assertEqual(output, "promote: accepted\n")
        self.assertIn("does not serve 3.6 s later", errors)        # three leases, and three seconds
        self.assertGreater(time.monotonic() - began, 3.6)
        self.assertIn("say 'ha demote' to it instead", errors)
        self.assertEqual(self.ha("primary", "promote"), ("promote: accepted\n", ""))

    def test_what_is_refused_says_why(self):
        self.start_all()
        for words, why in ((["promote", "--peer-is-dead"], "it serves already"),
                           (["clear"], "it is not in FAULT")):
            self.assertIn(f"409: {why}", self.ha("primary", *words, code=1)[1])
        self.assertIn("409: the peer is alive",
                      self.ha("backup", "promote", "--peer-is-dead", code=1)[1])
        self.ha("backup", "freeze")
        self.assertIn("409: it is frozen: thaw it", self.ha("backup", "promote", code=1)[1])
        self.ha("backup", "thaw")
        self.until_said(self.halves["backup"], "warn PAIR-THAWED state=PASSIVE\n")
        self.assertEqual(self.halves["backup"].error_text().count(
            "warn PAIR-FROZEN state=PASSIVE\n"), 1)

    def test_the_last_of_three_serves_by_the_operators_word(self):
        self.start_all()
        self.halves["primary"].kill()
        self.await_state("backup", "ACTIVE")
        self.halves["backup"].kill()
        (self.folder / "witness").unlink()          # nobody is asked any more
        self.start("backup")
        self.until(lambda: "PASSIVE" == self.status("backup")[0][0]["state"], "it has waited")
        self.assertIn("does not serve", self.ha("backup", "promote", code=1)[1])
        self.assertEqual(self.ha("backup", "promote", "--peer-is-dead")[1], "")
        self.await_state("backup", "ACTIVE")
        self.assertIn("PAIR-AUDIT", self.halves["backup"].error_text())

    def test_a_fault_is_cleared_when_the_record_is_there(self):
        self.start_all()
        record = self.folder / "backup.vote"
        self.halves["backup"].kill()
        record.rename(self.folder / "kept")
        half = self.start("backup")
        self.assertIn("there is no record", half.error_text())
        rows, errors = self.status("backup")
        self.assertEqual(rows[0]["state"], "FAULT")
        self.assertIn("--pair-init", rows[0]["why"])
        self.assertIn("ha clear", errors)
        self.assertIn("there is no record", self.ha("backup", "clear", code=1)[1])
        (self.folder / "kept").rename(record)
        self.ha("backup", "clear")
        self.await_state("backup", "PASSIVE")

    def test_a_record_that_cannot_be_read_names_the_error(self):
        record = self.folder / "primary.vote"
        record.mkdir()
        half = self.start("primary")
        self.assertIn('error="Is a directory"', half.error_text())

    def test_a_record_that_cannot_be_written_names_the_error(self):
        self.start_all()
        half = self.halves["backup"]
        limit = resource.RLIMIT_FSIZE
        resource.prlimit(half.process.pid, limit, (0, resource.RLIM_INFINITY))
        self.ha("primary", "demote")
        self.await_state("backup", "FAULT")
        self.assertIn(f'error PAIR-RECORD file="{self.folder}/backup.vote" why="the record cannot '
                      'be read or written" error="File too large"', half.error_text())
        self.ha("backup", "clear", code=1)
        resource.prlimit(half.process.pid, limit, (resource.RLIM_INFINITY,) * 2)
        self.ha("backup", "clear")
        self.await_state("backup", "ACTIVE")

    def test_a_half_of_another_pair_is_told_apart_once(self):
        self.start_witness("--pair-init")
        primary = self.start("primary", "--pair-init")
        self.start("backup", "--pair-init", "--pair-name", "another")
        self.until_said(primary, 'why="unknown_pair"')
        self.await_state("primary", "ACTIVE")
        self.until(lambda: int(self.status("primary")[0][0]["unknown_pair"]) > 3, "more of it")
        lines = [line for line in primary.error_text().splitlines() if "unknown_pair" in line]
        self.assertEqual(len(lines), 1, lines)
        self.assertIn("another --pair-name", lines[0])

    def test_a_pair_of_which_one_has_no_witness_is_seen(self):
        self.start_witness("--pair-init")
        primary = self.start("primary", "--pair-init")
        options = self.half("backup", witness=None, pair_state=None)
        backup = self.run_program("mdbroker", *options)
        self.endpoints["backup"] = backup.ready()
        _, errors = self.status("primary", "backup")
        self.assertIn("only one of these halves has a witness", errors)
        for half, peer in ((primary, "backup"), (backup, "primary")):
            self.until_said(half, "PAIR-HANDSHAKE")
            text = self.until_said(half, "of a process that is stopped")
            self.assertRegex(text, f"warn PAIR-HANDSHAKE endpoint={self.end(peer)} attempts=2 "
                             'perhaps="only one of the two halves has --witness, or')

    def test_two_halves_that_both_serve_are_seen(self):
        for role in OTHER:
            options = self.half(role, witness=None, pair_state=None, pair_peer=self.end("nobody"))
            self.endpoints[role] = self.run_program("mdbroker", *options).ready()
        self.ha("primary", "promote")
        self.assertEqual(self.status(*OTHER)[1], "")
        self.ha("backup", "promote")
        self.assertIn("more than one of these says that it serves", self.status(*OTHER)[1])

    def test_two_halves_of_one_role_wait_for_the_operator(self):
        for role in OTHER:
            options = self.half(role, witness=None, pair_state=None, pair="primary")
            half = self.halves[role] = self.run_program("mdbroker", *options, "--pair-heartbeat", "50")
            self.endpoints[role] = half.ready()
        self.await_state("primary", "HALTED")
        rows, errors = self.status("primary")
        self.assertEqual(rows[0]["why"], "both halves are primary")
        self.assertIn("started again with the other --pair", errors)
        text = self.until_said(self.halves["primary"], "PAIR-ALARM")
        self.assertRegex(text, r'why="both halves are primary" node=[0-9a-f]{16} own=[0-9a-f]{16}')


class Example(unittest.TestCase):
    """examples/pair.sh, which leaves nothing behind."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="galleon-pair-")
        self.addCleanup(shutil.rmtree, self.folder)

    def start(self):
        build = pathlib.Path(program("mdbroker")).parent
        started = subprocess.Popen([ROOT / "examples/pair.sh"], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                   env={**os.environ, "TMPDIR": self.folder,
                                        "GALLEON_BUILD": str(build)})
        self.addCleanup(started.stdout.close)
        self.addCleanup(started.wait)
        self.addCleanup(started.terminate)
        return started

    def left_behind(self):
        """The files in its folder, and the processes that were told of it."""
        found = os.listdir(self.folder)
        for process in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if self.folder.encode() in process.read_bytes():
                    found.append(process.read_bytes())
            except OSError:
                continue
        return found

    def test_every_call_is_answered(self):
        started = self.start()
        text = started.stdout.read()
        self.assertEqual(started.wait(), 0, text)
        self.assertIn("every call was answered", text)
        self.assertEqual(self.left_behind(), [])

    def test_it_cleans_up_when_it_is_interrupted(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            started = self.start()
            for line in started.stdout:
                if "serves" in line:
                    break
            started.send_signal(number)
            text = started.stdout.read()
            self.assertEqual(started.wait(), 128 + number, text)
            self.assertEqual(self.left_behind(), [])


class Pages(unittest.TestCase):

    def test_every_option_of_a_pair_is_on_the_page(self):
        _, output, _ = run("mdbroker", "--help")
        page = (ROOT / "docs/operating/failover.md").read_text(encoding="utf-8")
        options = re.findall(r"^\s+(--(?:pair|witness)[a-z-]*)", output.decode(), re.MULTILINE)
        self.assertGreater(len(options), 8)
        for option in options:
            self.assertIn(f"`{option}", page)


if __name__ == "__main__":
    unittest.main()
