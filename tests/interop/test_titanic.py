"""titanic against peers of our own in Python: what it answers, and what becomes of a request.

    GALLEON_BIN=build/asan /usr/bin/python3 tests/interop/test_titanic.py [-v] [Class[.test]]

One mdbroker and one titanic for each class. The peers are written from RFC 9 and from
docs/protocol/titanic.md.
"""

import random
import re
import threading
import time
import unittest
import uuid

import vectors
from durable import ID, UNKNOWN, TitanicTest, rows
from peers import CLIENT_01, CLIENT_02, Reply, Silence
from support import CLIENTS, WORKERS, Raw

BODIES = {
    "one frame": [b"Hello world"],
    "one empty frame": [b""],
    "an empty frame in front": [b"", b"Hi"],
    "frames that look like an answer": [b"200", b"", b"300"],
    "binary": [bytes(range(256)), b"\x00\xff\x0a\x0d"],
    "many frames": [b"%d" % n for n in range(100)],
    "10 KiB": [random.Random(10).randbytes(10 * 1024)],
    "100 KiB in two": [random.Random(100).randbytes(100 * 1024), b"end"],
    "900 KiB": [random.Random(900).randbytes(900 * 1024)],
}


def dashed(name):
    return str(uuid.UUID(name.decode())).encode()


# ---- RFC 9 --------------------------------------------------------------------------------------

class Rfc(TitanicTest):
    """The three services of RFC 9."""

    def test_a_request_lives_as_the_guides_ticlient_has_it(self):
        service = self.name()
        self.serve("0.1", service)
        for name in CLIENTS:
            with self.subTest(client=name):
                client = self.client(name)
                request = self.submit(service, b"Hello world", client=client)
                self.assertEqual(self.fetch(request, client), [b"Hello world"])
                self.assertEqual(self.fetch(request, client), [b"Hello world"])
                self.assertEqual(self.ask(b"close", request, client=client), [b"200"])
                self.assertEqual(self.ask(b"reply", request, client=client)[0], b"400")
                self.assertEqual(self.ask(b"close", request, client=client), [b"200"])

    def test_all_frames_of_0_1_and_0_2(self):
        service = self.name()
        worker, raw = self.worker("g1", service), Raw(self)
        for front, back in (([b"", CLIENT_01], [b"", CLIENT_01]),
                            ([CLIENT_02, b"\x01"], [CLIENT_02, b"\x03"])):
            with self.subTest(dialect=back):
                raw.send(*front, b"titanic.request", service, b"Hello world")
                *envelope, status, name = raw.receive()
                self.assertEqual([*envelope, status], [*back, b"titanic.request", b"200"])
                self.assertRegex(name, rb"\A[0-9A-F]{32}\Z")
                raw.send(*front, b"titanic.reply", name)
                self.assertEqual(raw.receive(), [*back, b"titanic.reply", b"300"])
                request = worker.take()
                self.assertEqual(request.body, [b"Hello world"])
                worker.final(request, [b"Good", b"bye"])
                worker.flush()
                self.wait(name)
                raw.send(*front, b"titanic.reply", name)
                self.assertEqual(raw.receive(), [*back, b"titanic.reply", b"200", b"Good", b"bye"])
                raw.send(*front, b"titanic.close", name)
                self.assertEqual(raw.receive(), [*back, b"titanic.close", b"200"])
                raw.send(*front, b"titanic.close", name)
                self.assertEqual(raw.receive(), [*back, b"titanic.close", b"200"])
                raw.send(*front, b"titanic.reply", name)
                self.assertEqual(raw.receive()[:len(back) + 2], [*back, b"titanic.reply", b"400"])

    def test_bodies_arrive_in_both_directions_through_every_worker(self):
        for name in WORKERS:
            service = self.name(name)
            self.serve(name, service)
            for what, body in BODIES.items():
                with self.subTest(worker=name, body=what):
                    request = self.submit(service, *body)
                    self.assertEqual(self.wait(request), [b"200", *body])
                    self.close(request)

    def test_ids_are_taken_in_either_case_and_with_dashes(self):
        service = self.name()
        self.serve("0.2", service)
        for spell in (bytes.lower, dashed, lambda name: dashed(name).upper()):
            request = self.submit(service, b"Hi")
            self.assertEqual(self.fetch(spell(request)), [b"Hi"])
            self.assertEqual(self.ask(b"wait", spell(request), b"0"), [b"200", b"Hi"])
            self.assertEqual(self.ask(b"close", spell(request)), [b"200"])
            self.assertEqual(self.ask(b"reply", request)[0], b"400")

    def test_ids_rise_and_never_come_twice(self):
        service = self.name()
        names = [self.submit(service, b"%d" % n) for n in range(50)]
        times = [name[:12] for name in names]       # milliseconds; the rest is drawn
        self.assertEqual(times, sorted(times))
        self.assertEqual(len(set(names)), 50)

    def test_reserved_and_impossible_targets_are_refused(self):
        before = self.count("submits")
        for target in (b"titanic.request", b"titanic.x", b"titanic.", b"mmi.service", b"mmi.x",
                       b"", b"a\x00b", b"a\nb", b"\xff\xfe", b"x" * 256):
            with self.subTest(target=target):
                self.assertEqual(self.ask(b"request", target, b"Hi")[0], b"400")
                self.assertEqual(self.ask(b"submit", b"", target, b"Hi")[0], b"400")
        self.assertEqual(self.count("submits"), before)

    def test_hostile_ids_touch_nothing(self):
        service = self.name()
        request = self.submit(service, b"Hi")
        before = self.stats()
        hostile = [b"", b"\x00" * 32, b"../../etc/passwd", b"titanic.db", request + b"\x00",
                   request[:-1], request + b"/..", b" " + request, request[:-1] + b"G",
                   dashed(request).replace(b"-", b"/"), dashed(request)[:-1], b"x" * 10240,
                   b"%" * 32, b"'; DROP TABLE request; --", UNKNOWN, b"0" * 32, b"F" * 32]
        files = sorted(path.name for path in self.folder.iterdir())
        for name in hostile:
            with self.subTest(id=name[:40]):
                self.assertEqual(self.ask(b"reply", name)[0], b"400")
                self.assertEqual(self.ask(b"wait", name, b"0")[0], b"400")
                self.assertEqual(self.ask(b"close", name), [b"200"])
        after = self.stats()
        for fact in ("pending", "done", "dead"):
            self.assertEqual(after[fact], before[fact])
        self.assertEqual(self.ask(b"reply", request), [b"300"])
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()), files)

    def test_asking_without_what_is_needed(self):
        for name in CLIENTS:
            with self.subTest(client=name):
                client = self.client(name)
                self.assertEqual(self.ask(b"reply", b"", client=client)[0], b"400")
                self.assertEqual(self.ask(b"close", b"", client=client), [b"200"])
                self.assertEqual(self.ask(b"request", b"", client=client)[0], b"400")
                self.assertEqual(self.ask(b"wait", UNKNOWN, client=client)[0], b"400")

    def test_partials_are_gathered_into_the_reply(self):
        parts = [[b"0", b"1"], [b""], [b"2", b"\x02"]]
        for name in ("0.2", "g1"):
            with self.subTest(worker=name):
                service = self.name(name)
                worker = self.worker(name, service)
                request = self.submit(service, b"Hi")
                given = worker.take()
                for part in parts:
                    worker.partial(given, part)
                worker.flush()
                self.assertEqual(self.ask(b"reply", request), [b"300"])
                worker.final(given, [b"end"])
                worker.flush()
                gathered = [b"0", b"1", b"", b"2", b"\x02", b"end"]
                self.assertEqual(self.wait(request), [b"200", *gathered])

    def test_many_clients_ask_at_once(self):
        service = self.name()
        self.serve("g1", service, credit=64)
        client = self.client("g1")
        asked = {client.request(b"titanic.request", [service, b"%d" % n]): n for n in range(500)}
        names = {n: client.answer(one).body[1] for one, n in asked.items()}
        self.assertEqual(len(set(names.values())), 500)
        for n, name in names.items():
            self.assertEqual(self.wait(name), [b"200", b"%d" % n])


# ---- Galleon's further services -------------------------------------------------------------

class Further(TitanicTest):
    """Those of docs/protocol/titanic.md, byte by byte."""

    def test_every_malformed_body_of_the_page_is_400(self):
        for row in vectors.rows("X"):
            number, name, body, expect, *_ = row
            if expect != "400":
                continue
            with self.subTest(vector=number, service=name):
                code, text = self.client("0.1").call(name.encode(), vectors.frames(body)).body
                self.assertEqual(code, b"400")
                self.assertGreater(len(text), 0)

    def test_submit_takes_its_fields_and_hands_the_rest_to_the_worker(self):
        service = self.name()
        worker = self.worker("g1", service)
        request = self.submit_with(
            b"zone: a\nattempts: 3\nuser: eve\ntitanic-id: x\nepoch: 9\nidempotency-key: k1\n"
            b"deadline-ms: 60000\n", service, b"a", b"", b"b")
        given = worker.take()
        self.assertEqual(given.body, [b"a", b"", b"b"])
        lines = given.fields.split(b"\n")
        self.assertIn(b"zone: a", lines)
        self.assertIn(b"idempotency-key: k1", lines)
        self.assertIn(b"titanic-id: " + request, lines)
        self.assertEqual([line for line in lines if line.startswith((b"user", b"epoch"))], [])
        facts = self.facts(request)
        self.assertEqual((facts["state"], facts["attempts_max"], facts["key"], facts["frames"]),
                         ("pending", "3", "k1", "3"))
        self.assertLessEqual(int(facts["deadline"]), 60000)
        worker.final(given, [b"done", b"!"])
        worker.flush()
        self.assertEqual(self.wait(request), [b"200", b"done", b"!"])
        facts = self.facts(request)
        self.assertEqual((facts["state"], facts["attempts"], facts["reply_frames"]),
                         ("done", "1", "2"))

    def test_not_before_and_deadline(self):
        service = self.name()
        seen = []
        self.serve("g1", service, lambda request: seen.append(request) or [b"ran"])
        begun = time.monotonic()
        later = self.submit_with(b"not-before-ms: 400\n", service, b"later")
        self.assertEqual(self.wait(later), [b"200", b"ran"])
        self.assertGreaterEqual(time.monotonic() - begun, 0.4)
        expired = self.submit_with(b"deadline-ms: 50\n", self.name("nobody"), b"x")
        status, reason = self.wait(expired)
        self.assertEqual(status, b"500")
        self.assertEqual(self.facts(expired)["state"], "expired")
        self.assertEqual(self.facts(expired)["reason"].encode(), reason)

    def test_wait_is_held_until_the_reply_is_there(self):
        service = self.name()
        worker = self.worker("g1", service)
        request = self.submit(service, b"Hi")
        given = worker.take()
        begun = time.monotonic()
        self.assertEqual(self.wait(request, 0), [b"300"])
        self.assertEqual(self.wait(request, 200), [b"300"])
        self.assertGreaterEqual(time.monotonic() - begun, 0.2)
        client = self.client("g1")
        asked = [client.request(b"titanic.wait", [request, b"20000"]) for _ in range(3)]
        client.flush()
        self.until(lambda: self.count("waits") == 3, "three waits")
        worker.final(given, [b"done"])
        worker.flush()
        for one in asked:
            self.assertEqual(client.answer(one).body, [b"200", b"done"])
        self.assertEqual(self.count("waits"), 0)

    def test_wait_hears_of_a_close(self):
        request = self.submit(self.name(), b"Hi")
        client = self.client("g1")
        asked = client.request(b"titanic.wait", [request, b"20000"])
        client.flush()
        self.until(lambda: self.count("waits") == 1, "the wait")
        self.close(request)
        self.assertEqual(client.answer(asked).body[0], b"400")

    def test_list_is_a_table_to_the_byte(self):
        service = self.name("a b%")
        spelled = service.replace(b"%", b"%25")
        names = [self.submit(service, b"%d" % n) for n in range(3)]
        head = b"id\tservice\tstate\tattempts\tage\tdue\treason\n"
        code, table = self.ask(b"list", b"service=" + spelled)
        self.assertEqual(code, b"200")
        self.assertTrue(table.startswith(head))
        lines = table[len(head):].split(b"\n")
        self.assertEqual(lines.pop(), b"")
        for name, line in zip(names, lines, strict=True):
            self.assertRegex(line, rb"\A%s\t%s\tpending\t[01]\t\d+\t\d+\t\Z"
                             % (name, re.escape(service)))
        code, table = self.ask(b"list", b"service=" + spelled + b" limit=2")
        self.assertEqual([row["id"].encode() for row in rows(table)], names[:2])
        code, table = self.ask(b"list", b"service=" + spelled + b" after=" + names[1])
        self.assertEqual([row["id"].encode() for row in rows(table)], names[2:])
        code, table = self.ask(b"list", b"service=" + spelled + b" state=done")
        self.assertEqual(table, head)
        code, table = self.ask(b"list", b"service=" + spelled + b" older-than=1h")
        self.assertEqual(table, head)
        code, table = self.ask(b"list", b"service=" + spelled + b" newer-than=1h")
        self.assertEqual(len(rows(table)), 3)
        self.assertEqual(len(rows(self.ask(b"list", b"id=" + dashed(names[0]))[1])), 1)

    def test_show_of_nothing_is_a_head(self):
        self.assertEqual(self.ask(b"show", b"id=" + UNKNOWN), [b"200", b"id\tname\tvalue\n"])

    def test_show_counts_the_bytes_of_the_body_and_nothing_else(self):
        fields = b"idempotency-key: " + self.name() + b"\nzone: a\n"
        service = self.name()
        request = self.submit_with(fields, service, b"Hello", b"", b"world")
        facts = self.facts(request)
        self.assertEqual((facts["frames"], facts["bytes"]), ("3", "10"))
        self.assertEqual((facts["reply_frames"], facts["reply_bytes"]), ("0", "0"))
        worker = self.worker("g1", service)
        worker.final(worker.take(), [b"you", b"too"])
        worker.flush()
        self.fetch(request)
        facts = self.facts(request)
        self.assertEqual((facts["frames"], facts["bytes"]), ("3", "10"))
        self.assertEqual((facts["reply_frames"], facts["reply_bytes"]), ("2", "6"))

    def test_stats_say_what_is_there(self):
        service = self.name()
        request = self.submit(service, b"Hi")
        code, table = self.ask(b"stats", b"")
        self.assertEqual(code, b"200")
        self.assertTrue(table.startswith(b"service\tname\tvalue\n\tdurability\tfull\n"))
        for name in ("pending", "out", "done", "dead", "waits", "commits", "commit_us_last",
                     "commit_us_max"):
            self.assertRegex(self.stats().get(name, ""), r"\A\d+\Z", name)
        of = self.stats(service)
        self.assertEqual((of["pending"], of["done"], of["dead"]), ("1", "0", "0"))
        self.close(request)
        self.assertEqual(self.stats(service).get("pending", "0"), "0")

    def test_cancel_retry_and_purge(self):
        service = self.name()
        names = [self.submit(service, b"%d" % n) for n in range(3)]
        of = b"service=" + service
        self.assertEqual(self.changed(b"purge", of, b"pending ones stay"), 0)
        self.assertEqual(self.changed(b"retry", of), 0)
        self.assertEqual(self.changed(b"cancel", of + b" limit=2", b"not wanted"), 2)
        for name in names[:2]:
            self.assertEqual(self.ask(b"reply", name), [b"500", b"not wanted"])
            self.assertEqual(self.facts(name)["state"], "dead")
        self.assertEqual(self.changed(b"retry", b"id=" + names[1]), 1)
        self.assertEqual(self.facts(names[1])["state"], "pending")
        self.assertEqual(self.changed(b"purge", of + b" state=dead", b"old"), 1)
        self.assertEqual(self.ask(b"reply", names[0])[0], b"400")
        self.serve("0.1", service)
        for number in (1, 2):
            self.assertEqual(self.wait(names[number]), [b"200", b"%d" % number])
        self.assertEqual(self.changed(b"purge", of, b"over"), 2)
        self.assertEqual(self.ask(b"reply", names[1])[0], b"400")

    def test_the_same_key_gives_the_same_id_and_runs_once(self):
        service, key = self.name(), b"idempotency-key: same\n"
        seen = []
        self.serve("g1", service, lambda request: seen.append(request.body) or [b"ran"])
        first = self.submit_with(key, service, b"a", b"b")
        self.assertEqual(self.submit_with(key + b"attempts: 7\n", service, b"a", b"b"), first)
        self.assertEqual(self.wait(first), [b"200", b"ran"])
        self.assertEqual(self.submit_with(key, service, b"a", b"b"), first)
        for body in ([b"a"], [b"ab"], [b"a", b"b", b""], [b"", b"ab"]):
            self.assertEqual(self.ask(b"submit", key, service, *body)[0], b"409")
        self.assertEqual(self.ask(b"submit", key, service + b"2", b"a", b"b")[0], b"409")
        self.close(first)
        self.assertEqual(self.submit_with(key, service, b"a", b"b"), first)
        self.assertEqual(self.ask(b"reply", first)[0], b"400")
        self.assertEqual(self.ask(b"submit", key, service, b"other")[0], b"409")
        self.assertEqual(seen, [[b"a", b"b"]])

    def test_a_hundred_submits_of_one_key_at_once_are_one_request(self):
        service, client = self.name(), self.client("g1")
        seen = []
        self.serve("g1", service, lambda request: seen.append(request.body) or [b"ran"])
        asked = [client.request(b"titanic.submit", [b"idempotency-key: once\n", service, b"x"])
                 for _ in range(100)]
        names = {tuple(client.answer(one).body) for one in asked}
        self.assertEqual(len(names), 1)
        (code, name), = names
        self.assertEqual((code, self.wait(name)), (b"200", [b"200", b"ran"]))
        self.assertEqual(len(seen), 1)

    def test_a_key_of_our_form_from_before_the_horizon_is_refused(self):
        old = b"idempotency-key: 000000000001" + b"0" * 20 + b"\n"
        self.assertEqual(self.ask(b"submit", old, self.name(), b"x"), [b"400", b"key expired"])


# ---- What becomes of a request ------------------------------------------------------------------

class Execution(TitanicTest):
    """When it runs, how often, and what is kept."""

    def dropped(self):
        """Return how many answers were not wanted: they end at the broker, or here."""
        stats = self.stats()
        return int(stats["attempts_abandoned"]) + int(stats["answers_late"])

    def test_a_late_answer_after_close_is_dropped_and_counted(self):
        service = self.name()
        worker = self.worker("g1", service)
        request, before = self.submit(service, b"Hi"), self.dropped()
        given = worker.take()
        self.close(request)
        worker.final(given, [b"late"])
        worker.flush()
        second = self.submit(service, b"second")
        worker.final(worker.take(), [b"done"])
        worker.flush()
        self.assertEqual(self.wait(second), [b"200", b"done"])
        self.assertEqual(self.ask(b"reply", request)[0], b"400")
        self.assertEqual(self.facts(request).get("state", "closed"), "closed")
        self.assertEqual(self.dropped(), before + 1)

    def test_close_of_what_waits_keeps_it_from_running(self):
        service = self.name()
        seen = []
        names = [self.submit(service, b"%d" % n) for n in range(4)]
        for name in names[1:3]:
            self.close(name)
        self.serve("0.1", service, lambda request: seen.append(request.body) or [b"ran"])
        for name in (names[0], names[3]):
            self.assertEqual(self.wait(name), [b"200", b"ran"])
        self.assertEqual(sorted(seen), [[b"0"], [b"3"]])

    def test_a_slow_service_runs_once(self):
        service = self.name()
        seen = []

        def slow(request):
            seen.append(request.body)
            time.sleep(1.5)         # the work itself: some broker heartbeats long
            return [b"at last"]

        self.serve("g1", service, slow)
        request = self.submit(service, b"Hi")
        self.assertEqual(self.wait(request), [b"200", b"at last"])
        self.assertEqual((seen, self.facts(request)["attempts"]), ([[b"Hi"]], "1"))

    def test_a_service_without_workers_costs_others_nothing(self):
        nobody, service = self.name("nobody"), self.name()
        client = self.client("g1")
        asked = [client.request(b"titanic.request", [nobody, b"%d" % n]) for n in range(2000)]
        for one in asked:
            self.assertEqual(client.answer(one).body[0], b"200")
        self.serve("0.1", service)
        for n in range(20):
            request = self.submit(service, b"%d" % n)
            self.assertEqual(self.wait(request, 5000), [b"200", b"%d" % n])
        self.assertLessEqual(int(self.stats(nobody)["out"]), 1)
        self.assertEqual(self.changed(b"cancel", b"service=" + nobody), 1000)

    def test_a_service_that_hangs_holds_up_no_other(self):
        stuck, service = self.name("stuck"), self.name()
        hanging, client = self.worker("g1", stuck, credit=4), self.client("g1")
        asked = [client.request(b"titanic.request", [stuck, b"%d" % n]) for n in range(1500)]
        for one in asked:           # more than may be out
            self.assertEqual(client.answer(one).body[0], b"200")
        hanging.take()
        self.serve("0.1", service)
        for n in range(20):
            request = self.submit(service, b"%d" % n)
            self.assertEqual(self.wait(request, 5000), [b"200", b"%d" % n])
        self.changed(b"cancel", b"service=" + stuck)

    def test_a_service_may_appear_later(self):
        service = self.name()
        names = [self.submit(service, b"%d" % n) for n in range(30)]
        with self.assertRaises(Silence):
            self.worker("0.1", self.name("other")).take(0.3)
        self.assertEqual(self.ask(b"reply", names[0]), [b"300"])
        self.serve("g1", service, credit=8)
        for n, name in enumerate(names):
            self.assertEqual(self.wait(name), [b"200", b"%d" % n])

    def test_a_failure_is_tried_again_and_then_dead_with_the_last_error(self):
        service = self.name()
        seen = []

        def fail(request):
            seen.append(request.body)
            return Reply([b"no luck %d" % len(seen)], status=510)

        self.serve("g1", service, fail)
        request = self.submit_with(b"attempts: 3\n", service, b"Hi")
        self.assertEqual(self.wait(request), [b"500", b"no luck 3"])
        facts = self.facts(request)
        self.assertEqual((facts["state"], facts["attempts"], facts["reason"]),
                         ("dead", "3", "no luck 3"))
        self.assertEqual(self.ask(b"reply", request), [b"500", b"no luck 3"])
        self.assertEqual(len(seen), 3)
        self.assertEqual(self.changed(b"retry", b"id=" + request), 1)
        self.assertEqual(self.wait(request)[0], b"500")
        self.assertEqual(len(seen), 6)

    def test_a_failure_that_passes_is_nobodys_business(self):
        service = self.name()
        seen = []

        def handler(request):
            seen.append(request)
            return Reply([b"not yet"], status=510) if len(seen) < 3 else [b"now"]

        self.serve("g1", service, handler)
        request = self.submit(service, b"Hi")
        self.assertEqual(self.wait(request), [b"200", b"now"])
        self.assertEqual(self.facts(request)["attempts"], "3")

    def test_a_worker_that_dies_is_followed_by_another(self):
        service = self.name()
        first = self.worker("g1", service)
        request = self.submit(service, b"Hi")
        first.take()
        second = self.worker("g1", service)
        first.vanish()
        worker_got = second.take()
        self.assertEqual(worker_got.body, [b"Hi"])
        second.final(worker_got, [b"done"])
        second.flush()
        self.assertEqual(self.wait(request), [b"200", b"done"])

    def test_clients_in_threads_each_get_their_own(self):
        service, errors = self.name(), []
        self.serve("g1", service, credit=32)
        clients = {name: self.client(name) for name in CLIENTS}

        def live(name, client):
            try:
                for n in range(10):
                    body = b"%s %d" % (name.encode(), n)
                    request = self.submit(service, body, client=client)
                    self.assertEqual(self.fetch(request, client), [body])
                    self.assertEqual(self.ask(b"close", request, client=client), [b"200"])
            except Exception as error:      # it has to reach the test's own thread
                errors.append(error)

        threads = [threading.Thread(target=live, args=item) for item in clients.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(errors, [])


if __name__ == "__main__":
    unittest.main()
