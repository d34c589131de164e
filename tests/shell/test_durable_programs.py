#!/usr/bin/env python3
"""test_durable_programs.py - ticlient and galleon's durable commands, before a fake titanic.

The titanic is a thread with a worker of MDP/0.1 for each of its services at a broker of ours. It
keeps requests in memory, and notes what it is asked. The programs are taken as in
test_client_programs.py, whose helpers are used here.
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import zmq

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.dont_write_bytecode = True

from test_client_programs import Daemon, FOLDER, ROOT, run, serving  # noqa: E402 (found by the line above)

GUIDE = ["titanic.request", "titanic.reply", "titanic.close"]
OURS = GUIDE + ["titanic.submit", "titanic.wait", "titanic.list", "titanic.show", "titanic.stats",
                "titanic.retry", "titanic.cancel", "titanic.purge"]
UNKNOWN = "0198F0C5A1B200000000000000009999"
PATIENCE = 30


def terms(text):
    return dict(term.split("=", 1) for term in text.split())


class Request:
    def __init__(self, number, service, body, state="done"):
        self.id = f"0198F0C5A1B2{number:020X}"
        self.service, self.body, self.state = service, body, state

    def line(self):
        due = "1500" if self.state == "pending" else ""
        return f"{self.id}\t{self.service}\t{self.state}\t1\t7200000\t{due}\ttimed out\n"

    def lines(self):
        values = {"service": self.service, "state": self.state, "attempts": 1, "age": 7200000,
                  "not_before": "", "deadline": 500, "reason": "timed out"}
        return "".join(f"{self.id}\t{name}\t{value}\n" for name, value in values.items())


class Titanic:
    """What a titanic answers. `state` is what new requests are in; `told` overrules an answer."""

    def __init__(self, endpoint, services=OURS):
        self.endpoint, self.services = endpoint, services
        self.requests, self.keys, self.asked, self.told = [], {}, [], {}
        self.state = "done"
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def stop(self):
        self.over.set()
        self.thread.join(PATIENCE)

    def serve(self):
        context = zmq.Context.instance()
        poller, names = zmq.Poller(), {}
        for name in self.services:
            worker = context.socket(zmq.DEALER)
            worker.linger = 0
            worker.connect(self.endpoint)
            worker.send_multipart([b"", b"MDPW01", b"\x01", name.encode()])
            poller.register(worker, zmq.POLLIN)
            names[worker] = name
        beat = 0
        while not self.over.is_set():
            if time.monotonic() - beat > 1:
                beat = time.monotonic()
                for worker in names:
                    worker.send_multipart([b"", b"MDPW01", b"\x04"])
            for worker, _ in poller.poll(50):
                _, _, command, *rest = worker.recv_multipart()
                if command == b"\x02":
                    client, _, *body = rest
                    answer = self.answer(names[worker], body)
                    worker.send_multipart([b"", b"MDPW01", b"\x03", client, b"", *answer])
        for worker in names:
            worker.close()

    def answer(self, name, body):
        self.asked.append((name, body))
        if name in self.told:
            return self.told[name]
        return getattr(self, name.removeprefix("titanic."))(*body)

    def find(self, name):
        return next((one for one in self.requests if one.id.encode() == name), None)

    def keep(self, service, body):
        self.requests.append(Request(len(self.requests), service.decode(), body, self.state))
        return self.requests[-1].id.encode()

    def request(self, service, *body):
        return [b"200", self.keep(service, body)]

    def submit(self, fields, service, *body):
        key = re.search(rb"^idempotency-key: (.*)$", fields, re.MULTILINE)
        if not key:
            return [b"200", self.keep(service, body)]
        if key[1] not in self.keys:
            self.keys[key[1]] = (body, self.keep(service, body))
        known, name = self.keys[key[1]]
        return [b"200", name] if known == body else [b"409", b"key in use"]

    def reply(self, name):
        one = self.find(name)
        if one is None or one.state == "closed":
            return [b"400"]
        return {"pending": [b"300"], "dead": [b"500", b"timed out"]}.get(one.state,
                                                                      [b"200", *one.body])

    def wait(self, name, _):
        return self.reply(name)

    def close(self, name):
        if self.find(name):
            self.find(name).state = "closed"
        return [b"200"]

    def chosen(self, text):
        wanted = terms(text.decode())
        rows = [one for one in self.requests
                if one.state == wanted.get("state", one.state)
                and one.service == wanted.get("service", one.service)
                and one.id == wanted.get("id", one.id) and one.id > wanted.get("after", "")]
        return rows[:int(wanted.get("limit", 1000))]

    def list(self, text):
        table = "id\tservice\tstate\tattempts\tage\tdue\treason\n"
        return [b"200", (table + "".join(one.line() for one in self.chosen(text))).encode()]

    def show(self, text):
        table = "id\tname\tvalue\n" + "".join(one.lines() for one in self.chosen(text))
        return [b"200", table.encode()]

    def stats(self, _):
        return [b"200", b"service\tname\tvalue\n\tdurability\tfull\n\tpending\t3\necho\tpending\t3\n"]

    def change(self, text, state):
        rows = self.chosen(text)
        for one in rows:
            one.state = state
        return [b"200", str(len(rows)).encode()]

    def retry(self, text, _):
        return self.change(text, "pending")

    def cancel(self, text, _):
        return self.change(text, "dead")

    def purge(self, text, _):
        return self.change(text, "closed")


class Durable(unittest.TestCase):
    services = OURS

    def setUp(self):
        self.broker = Daemon("mdbroker", "--bind", "tcp://127.0.0.1:*")
        self.addCleanup(self.broker.stop)
        self.titanic = Titanic(self.broker.endpoint, self.services)
        self.addCleanup(self.titanic.stop)
        until = time.monotonic() + PATIENCE
        while self.services:
            found = json.loads(run("galleon", "--broker", self.broker.endpoint, "--json",
                                   "service", "ls").text or "[]")
            if {row["service"] for row in found if row["workers"]} >= set(self.services):
                break
            self.assertLess(time.monotonic(), until)

    def ask(self, *words, code=0, **options):
        name, *arguments = words
        done = run(name, "--broker", self.broker.endpoint, *arguments, **options)
        self.assertEqual(done.returncode, code, done.errors)
        return done

    def last(self, service):
        return [body for name, body in self.titanic.asked if name == service][-1]

    def fill(self, count, state):
        self.titanic.requests += [Request(number, "echo", [b"x"], state)
                                  for number in range(count)]


class TiClient(Durable):

    def test_a_request_makes_its_round(self):
        name = self.ask("ticlient", "submit", "echo", "a", "-", "c", input=b"b\n").text.strip()
        self.assertRegex(name, r"^[0-9A-F]{32}$")
        self.assertEqual(self.last("titanic.request"), [b"echo", b"a", b"b\n", b"c"])
        for wait in ([], ["--wait", "1000"]):
            self.assertEqual(self.ask("ticlient", *wait, "fetch", name).text, "a\nb\n\nc\n")
        for _ in range(2):
            self.assertEqual(self.ask("ticlient", "close", name).text, "")
        self.assertRegex(self.ask("ticlient", "fetch", name, code=1).errors, "no such request: 400")

    def test_call_leaves_nothing_behind(self):
        self.assertEqual(self.ask("ticlient", "call", "echo", "--", "-x").text, "-x\n")
        self.assertEqual([one.state for one in self.titanic.requests], ["closed"])

    def test_a_key_is_the_same_request(self):
        first = self.ask("ticlient", "--key", "k1", "submit", "echo", "x").text
        self.assertEqual(self.ask("ticlient", "--key", "k1", "submit", "echo", "x").text, first)
        done = self.ask("ticlient", "--key", "k1", "submit", "echo", "y", code=1)
        self.assertIn("409 key in use", done.errors)

    def test_what_is_not_finished_is_exit_code_3_and_names_the_request(self):
        self.titanic.state = "pending"
        name = self.ask("ticlient", "submit", "echo", "x").text.strip()
        for words in (["fetch", name], ["--wait", "100", "fetch", name]):
            self.assertIn(f"--wait 60000 fetch {name}",
                          self.ask("ticlient", *words, code=3).errors)
        done = self.ask("ticlient", "--wait", "100", "call", "echo", "x", code=3)
        self.assertIn(f"fetch {self.titanic.requests[1].id}", done.errors)

    def test_exit_codes_and_sentences(self):
        rows = (
            (2, [], "no COMMAND"),
            (2, ["fetsh", "x"], "'fetsh' is no COMMAND"),
            (2, ["submit"], "needs the name of a service"),
            (2, ["fetch"], "needs one ID"),
            (2, ["fetch", "a", "b"], "needs one ID"),
            (2, ["fetch", "x" * 37], "needs one ID"),
            (2, ["--wayt", "1", "fetch", "x"], "did you mean --wait?"),
            (1, ["fetch", UNKNOWN], "no such request"),
        )
        for code, words, sentence in rows:
            with self.subTest(words=words):
                done = self.ask("ticlient", *words, code=code)
                self.assertIn(sentence, done.errors)
                self.assertEqual(done.text, "")
        done = run("ticlient", "--broker", "tcp://127.0.0.1:1", "--timeout", "50", "submit", "echo")
        self.assertEqual(done.returncode, 3)
        self.assertIn("it may have stored the request", done.errors)


class Galleon(Durable):

    def galleon(self, *words, **options):
        return self.ask("galleon", *words, **options)

    def test_a_request_makes_its_round(self):
        name = self.galleon("submit", "echo", "a", "b", "--key", "k", "--delay", "0",
                            "--deadline", "60000", "--tries", "3").text.strip()
        self.assertEqual(self.last("titanic.submit"),
                         [b"idempotency-key: k\ndeadline-ms: 60000\nattempts: 3\n", b"echo", b"a",
                          b"b"])
        self.assertEqual(self.galleon("fetch", name).text, "a\nb\n")
        self.assertEqual(self.galleon("wait", name, "--wait", "1000").text, "a\nb\n")
        found = json.loads(self.galleon("--json", "fetch", name).text)
        self.assertEqual(found, {"id": name, "status": 200, "body": ["a", "b"]})
        self.assertEqual(self.galleon("close", name).text, "")
        found = json.loads(self.galleon("--json", "fetch", name, code=1).text)
        self.assertEqual((found["service"], found["status"]), ("titanic.reply", 400))
        found = json.loads(self.galleon("--json", "submit", "echo").text)
        self.assertEqual(found, {"id": self.titanic.requests[-1].id})
        found = json.loads(self.galleon("--json", "close", found["id"]).text)
        self.assertEqual(found["status"], 200)

    def test_what_is_not_there_yet_says_what_to_do(self):
        self.titanic.state = "pending"
        name = self.galleon("submit", "echo").text.strip()
        for words in (["fetch", name], ["wait", name, "--wait", "50"]):
            self.assertIn(f"galleon wait {name}", self.galleon(*words, code=3).errors)
        self.titanic.requests[0].state = "dead"
        self.assertEqual(self.galleon("wait", name, code=1).errors,
                         f"galleon: {name} was given up: timed out.\n")
        self.assertIn(f"no request {UNKNOWN}", self.galleon("fetch", UNKNOWN, code=1).errors)

    def test_ls_shows_all_page_by_page(self):
        self.fill(2500, "dead")
        found = json.loads(self.galleon("--json", "request", "ls").text)
        self.assertEqual([row["id"] for row in found], [one.id for one in self.titanic.requests])
        self.assertEqual((found[0]["age_ms"], found[0]["due_ms"]), (7200000, ""))
        asked = [terms(body[0].decode()) for name, body in self.titanic.asked]
        self.assertEqual([one.get("after") for one in asked],
                         [None, self.titanic.requests[999].id, self.titanic.requests[1999].id])
        for limit, pages in ((1, 1), (1000, 1), (1001, 2), (2500, 3)):
            self.titanic.asked.clear()
            lines = self.galleon("request", "ls", "--limit", str(limit)).text.splitlines()
            self.assertEqual(len(lines), limit + 1)
            self.assertEqual(len(self.titanic.asked), pages)

    def test_ls_of_exactly_a_page_asks_once_more(self):
        self.fill(1000, "dead")
        found = json.loads(self.galleon("--json", "request", "ls").text)
        self.assertEqual((len(found), len(self.titanic.asked)), (1000, 2))

    def test_a_titanic_that_goes_round_in_circles_is_left(self):
        self.fill(1000, "dead")
        self.titanic.told["titanic.list"] = self.titanic.list(b"limit=1000")
        self.assertIn("in circles", self.galleon("request", "ls", code=1).errors)
        self.assertEqual(len(self.titanic.asked), 2)

    def test_options_are_terms(self):
        self.assertEqual(self.galleon("request", "ls").text.split(),
                         "id service state attempts age_ms due_ms reason".split())
        self.assertEqual(self.last("titanic.list"), [b"limit=1000"])
        self.galleon("request", "ls", "--service", "my 100% service\u00e4", "--state", "dead",
                     "--older-than", "2h", "--newer-than", "7d", "--limit", "5")
        self.assertEqual(self.last("titanic.list"),
                         ["service=my%20100%25%20service\u00e4 state=dead older-than=2h "
                          "newer-than=7d limit=5".encode()])
        self.galleon("request", "ls", "--id", UNKNOWN)
        self.assertEqual(self.last("titanic.list"), [f"id={UNKNOWN}".encode()])

    def test_show_is_a_block_for_each_request(self):
        self.fill(450, "dead")
        one = self.titanic.requests[0]
        text = self.galleon("request", "show", one.id).text
        self.assertEqual(dict(line.split(None, 1) for line in text.splitlines() if " " in line
                              and line.split()[1:]),
                         {"id": one.id, "service": "echo", "state": "dead", "attempts": "1",
                          "age_ms": "7200000", "deadline_ms": "500", "reason": "timed out"})
        found = json.loads(self.galleon("--json", "request", "show", "--state", "dead").text)
        self.assertEqual([row["id"] for row in found], [one.id for one in self.titanic.requests])
        self.assertEqual((found[0]["age_ms"], found[0]["reason"]), (7200000, "timed out"))
        self.assertIn("no such request", self.galleon("request", "show", UNKNOWN, code=1).errors)

    def test_a_change_goes_on_until_nothing_is_left(self):
        for command, before, after in (("retry", "dead", "pending"), ("cancel", "pending", "dead"),
                                       ("purge", "dead", "closed")):
            with self.subTest(command=command):
                self.titanic.requests.clear()
                self.fill(2500, before)
                done = self.galleon("request", command, "--state", before, "--reason", "for once")
                self.assertRegex(done.text, r"^2500 requests ")
                self.assertEqual({one.state for one in self.titanic.requests}, {after})
                self.assertEqual(self.last("titanic." + command)[1], b"for once")

    def test_a_change_keeps_to_its_limit_and_to_its_id(self):
        self.fill(2500, "dead")
        found = json.loads(self.galleon("--json", "request", "purge", "--state", "dead", "--limit",
                                        "1500").text)
        self.assertEqual(found, {"count": 1500})
        self.assertEqual(sum(one.state == "dead" for one in self.titanic.requests), 1000)
        name = self.titanic.requests[2000].id
        self.assertRegex(self.galleon("request", "retry", name).text, r"^1 request will")
        self.assertEqual(self.last("titanic.retry"), [f"id={name}".encode(), b""])

    def test_what_is_retried_and_dead_again_is_not_retried_for_ever(self):
        self.fill(1000, "dead")
        self.titanic.told["titanic.retry"] = [b"200", b"1000"]
        self.assertRegex(self.galleon("request", "retry", "--state", "dead").text, r"^2000 ")

    def test_mistakes_are_found_before_anybody_is_asked(self):
        rows = (
            (["request", "purge"], "which requests?"),
            (["request", "show"], "which requests?"),
            (["request", "ls", "--state", "lost"], "none of pending, done, dead, closed or expired"),
            (["request", "ls", "--older-than", "5"], "older-than: no duration"),
            (["request", "ls", "--id", "3F25"], "id: no id"),
            (["request", "ls", "--service", "a\nb"], "service: no name"),
            (["request", "show", UNKNOWN, "--id", UNKNOWN], "give one of them"),
            (["request", "purge", UNKNOWN, "--limit", "3"], "give one of them"),
            (["request", "purge", UNKNOWN, "--state", "done"], "id stands alone"),
            (["request", "purge", UNKNOWN, "--reason", "x" * 257], "reason: more than 256"),
            (["request", "ls", "--reason", "x"],
             "--reason is an option of 'request retry', 'request cancel', 'request purge'"),
            (["request"], "did you mean 'request ls'?"),
            (["request", "lst"], "did you mean 'request ls'?"),
            (["fetch"], "'fetch' needs a request's ID"),
            (["fetch", "x" * 37], "can be no id"),
            (["wait", UNKNOWN, "--key", "k"], "--key is an option of 'submit', not of 'wait'"),
        )
        for words, sentence in rows:
            with self.subTest(words=words):
                done = self.galleon(*words, code=2)
                self.assertIn(sentence, done.errors)
                self.assertEqual(done.text, "")
        self.assertEqual(self.titanic.asked, [])

    def test_what_titanic_refuses_is_said(self):
        for name in OURS[5:]:
            self.titanic.told[name] = [b"403", b"not\x1byours"]
        for command in ("ls", "show", "retry", "cancel", "purge"):
            done = self.galleon("request", command, "--state", "dead", code=1)
            self.assertRegex(done.errors, r"'titanic\.\w+' at \S+ answered 403 not\?yours\.")
        found = json.loads(self.galleon("--json", "request", "purge", "--state", "dead",
                                        code=1).text)
        self.assertEqual((found["service"], found["status"]), ("titanic.purge", 403))
        self.assertRegex(self.galleon("stat").errors, r"titanic does not tell .*403 not\?yours")

    def test_stat_has_titanic_s_too(self):
        broker, titanic = self.galleon("stat").text.split("\n\n")
        self.assertRegex(broker, r"^name +value\n")
        self.assertRegex(titanic, r"^titanic +name +value\n +durability +full\n")
        self.assertRegex(titanic, r"\necho +pending +3\n")
        rows = json.loads(self.galleon("--json", "stat").text)
        self.assertEqual(list(rows[0]), ["name", "value"])
        self.assertIn({"service": "echo", "name": "pending", "value": 3}, rows)
        self.assertIn({"service": "", "name": "durability", "value": "full"}, rows)


class NobodyThere(Durable):
    services = []

    def test_no_titanic_is_exit_code_4(self):
        for words in (["submit", "echo"], ["fetch", UNKNOWN], ["close", UNKNOWN],
                      ["wait", UNKNOWN, "--wait", "50"], ["request", "ls"],
                      ["request", "purge", UNKNOWN]):
            with self.subTest(words=words):
                done = self.ask("galleon", "--timeout", "100", *words, code=4)
                self.assertRegex(done.errors, r"nobody serves 'titanic\.\w+' at \S+\.\n"
                                              r"Start a titanic: titanic --broker \S+\. What is")
        done = self.ask("ticlient", "--timeout", "100", "submit", "echo", code=4)
        self.assertIn("no titanic", done.errors)

    def test_silence_is_asked_about(self):
        done = self.ask("galleon", "--timeout", "100", "--dialect", "0.1", "submit", "echo", code=4)
        self.assertIn("nobody serves 'titanic.request'", done.errors)
        done = run("galleon", "--broker", "tcp://127.0.0.1:1", "--timeout", "50", "submit", "echo")
        self.assertEqual(done.returncode, 3)
        self.assertIn("no broker answers", done.errors)
        self.assertIn("It may have been stored", done.errors)


class TheGuides(Durable):
    services = GUIDE

    def test_titanic_of_the_guide_is_enough(self):
        name = self.ask("ticlient", "submit", "echo", "x").text.strip()
        self.assertEqual(self.ask("galleon", "wait", name).text, "x\n")
        self.assertEqual(self.ask("ticlient", "call", "echo", "y").text, "y\n")
        self.assertNotIn("\n\n", self.ask("galleon", "stat").text)


@unittest.skipUnless((FOLDER / "titanic").exists(), "there is no titanic in this build")
class Galleons(unittest.TestCase):
    """The programs before the real titanic: what the fake one takes for granted."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.broker = Daemon("mdbroker", "--bind", "tcp://127.0.0.1:*")
        self.addCleanup(self.broker.stop)
        titanic = Daemon("titanic", "--broker", self.broker.endpoint, "--store",
                         f"sqlite:{folder.name}/store.db", "--free-min", "1")
        self.addCleanup(titanic.stop)
        worker = subprocess.Popen(serving("mdworker", "--broker", self.broker.endpoint, "echo"),
                                  stdin=subprocess.DEVNULL)
        self.addCleanup(worker.wait, PATIENCE)
        self.addCleanup(worker.terminate)

    def ask(self, *words, code=0):
        done = run(words[0], "--broker", self.broker.endpoint, *words[1:])
        self.assertEqual(done.returncode, code, done.errors)
        return done.text.strip() or done.errors

    def shown(self, name):
        return json.loads(self.ask("galleon", "--json", "request", "show", name))[0]

    def test_a_request_lives_from_submit_to_purge(self):
        name = self.ask("ticlient", "--key", "k", "submit", "echo", "hello")
        self.assertEqual(self.ask("ticlient", "--key", "k", "submit", "echo", "hello"), name)
        self.assertIn("409", self.ask("ticlient", "--key", "k", "submit", "echo", "other", code=1))
        self.assertEqual(self.ask("galleon", "wait", name), "hello")
        self.assertEqual(self.ask("ticlient", "fetch", name.lower()), "hello")
        found = self.shown(name)
        self.assertEqual((found["state"], found["attempts"], found["key"]), ("done", 1, "k"))
        self.assertEqual(self.ask("galleon", "request", "purge", "--service", "echo"),
                         "1 request forgotten")
        self.assertIn("no request", self.ask("galleon", "fetch", name, code=1))
        self.assertEqual(self.ask("ticlient", "call", "echo", "a", "b"), "a\nb")

    def test_an_operator_gives_up_and_tries_again(self):
        name = self.ask("galleon", "submit", "my 100% own", "x", "--tries", "7", "--delay", "60000")
        self.assertIn("not finished", self.ask("galleon", "fetch", name, code=3))
        found = json.loads(self.ask("galleon", "--json", "request", "ls", "--service",
                                    "my 100% own", "--state", "pending"))
        self.assertEqual([row["id"] for row in found], [name])
        self.assertTrue(0 < found[0]["due_ms"] <= 60000)
        self.ask("galleon", "request", "cancel", name, "--reason", "not now")
        self.assertIn("given up: not now", self.ask("galleon", "wait", name, code=1))
        self.ask("galleon", "request", "retry", "--state", "dead")
        found = self.shown(name)
        self.assertEqual((found["state"], found["attempts_max"]), ("pending", 7))
        self.ask("galleon", "close", name)
        self.assertIn("no request", self.ask("galleon", "wait", name, code=1))

    def test_stat_says_how_durable_it_is(self):
        rows = json.loads(self.ask("galleon", "--json", "stat"))
        self.assertIn({"service": "", "name": "durability", "value": "full"}, rows)


class Manual(unittest.TestCase):

    def test_the_manual_has_every_option(self):
        for name in ("galleon", "ticlient"):
            page = (ROOT / "docs" / "man" / f"{name}.1").read_text().replace("\\-", "-")
            options = set(re.findall(r"^  --([a-z-]+)", run(name, "--help").text, re.MULTILINE))
            manual = set(re.findall(r"^\.BI? --([a-z-]+)", page, re.MULTILINE))
            self.assertEqual(options, manual)


if __name__ == "__main__":
    unittest.main()
