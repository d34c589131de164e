#!/usr/bin/env python3
"""plant.py - bugs in copies of the store, to see whether the crashes find them.

Usage: plant.py copy TO FILE...                  copy the files, with all bugs behind a switch
       plant.py hunt STORE_CRASH TABLE [NUMBER]  run each, and hold it to the table

How a bug is written stands in tests/support/plant.py. The numbers in the table (plants.txt) are of
the crash points within which a bug has to be found. The copies have a short log besides, so that
checkpoints come often.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import plant  # noqa: E402

# number: (file, what is wrong, text, text with the bug)
PLANTS = {
    1: ("sqlite.c", "a batch is acknowledged whose commit failed",
        "    if (code == SQLITE_OK && (!self->anchors_every_commit || sqlite_audit_anchor(self)))",
        "    if (planted(1) ||\n"
        "        (code == SQLITE_OK && (!self->anchors_every_commit || sqlite_audit_anchor(self))))"),
    2: ("sqlite_open.c", "a commit is not synced",
        "    sqlite3_db_config(self->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);",
        "    sqlite3_db_config(self->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);\n    if (planted(2))\n"
        '        sqlite3_exec(self->db, "PRAGMA synchronous = NORMAL", NULL, NULL, NULL);\n'
        "    if (planted(3))\n"
        '        sqlite3_exec(self->db, "PRAGMA synchronous = OFF", NULL, NULL, NULL);'),
    3: ("sqlite_open.c", "nothing is synced", None, None),  # planted by 2
    4: ("sqlite_group.c", "keys are not kept",
        "        return give_text(to, op->key), SQLITE_OK;",
        "        return give_text(to, planted(4) ? VIEW_NONE : op->key), SQLITE_OK;"),
    5: ("sqlite_change.c", "a stranger may fetch and close",
        "        memcmp(&request_out->owner, &op->owner, sizeof op->owner) == 0) {",
        "        (planted(5) || memcmp(&request_out->owner, &op->owner, sizeof op->owner) == 0)) {"),
    6: ("sqlite_open.c", "a seq is used again after its request was deleted",
        "        self->committed = *progress;",
        "        if (planted(6))\n            progress->next_seq = (uint64_t)sqlite_schema_number(\n"
        '                self->db, "SELECT coalesce(max(seq), 0) + 1 FROM request");\n'
        "        self->committed = *progress;"),
    7: ("sqlite_change.c", "an answer is stored after the close",
        "        op->outcome = is_found && request_out->state == DURABLE_PENDING ?",
        "        op->outcome = is_found && (request_out->state == DURABLE_PENDING ||\n"
        "                                   (planted(7) && request_out->state == DURABLE_CLOSED)) ?"),
    8: ("sqlite_change.c", "a key is forgotten when its request is closed",
        "    if (!request->has_key)\n", "    if (!request->has_key || planted(8))\n"),
    9: ("sqlite_idle.c", "answers and keys are dropped too early",
        "horizon_ms = now_ms - self->retain_ms;",
        "horizon_ms = now_ms - self->retain_ms / (planted(9) ? 2 : 1);"),
    10: ("sqlite_change.c", "a dead letter does not say how often it was tried",
         "    bind_number(end, 3, attempts);",
         "    bind_number(end, 3, planted(10) ? 0 : attempts);"),
    11: ("sqlite_change.c", "the chunks of a dropped request stay",
         "    if (parts == 0)\n        return SQLITE_OK;\n    bind_chunks",
         "    if (parts == 0 || planted(11))\n        return SQLITE_OK;\n    bind_chunks"),
    12: ("sqlite.c", "the counts are not stored",
         "        code = sqlite_counts_write(self);",
         "        code = planted(12) ? SQLITE_OK : sqlite_counts_write(self);"),
    13: ("sqlite_open.c", "the folder is not synced",
         "fd >= 0 && fsync(fd) == 0;", "fd >= 0 && (planted(13) || fsync(fd) == 0);"),
    14: ("sqlite.c", "the clock may go back",
         "{progress->next_seq, progress->clock_ms,",
         "{progress->next_seq, planted(14) ? 1 : progress->clock_ms,"),
    15: ("sqlite.c", "a batch is two transactions",
         "        size_t run = run_of(ops + at, count - at);",
         "        size_t run = run_of(ops + at, count - at);\n"
         "        if (planted(15) && at == count / 2 && at > 0) {\n"
         "            code = sqlite_store_commit(self);\n"
         "            if (code == SQLITE_OK)\n"
         "                code = sqlite_store_run(self, STATEMENT_BEGIN);\n"
         "            if (code != SQLITE_OK)\n                break;\n        }"),
    16: ("sqlite.c", "what was rolled back is still counted",
         "    sqlite_counts_rollback(self);",
         "    if (!planted(16))\n        sqlite_counts_rollback(self);"),
    17: ("sqlite_change.c", "a failed attempt is due at once again",
         "    bind_number(failed, 3, op->due_ms);",
         "    bind_number(failed, 3, planted(17) ? op->now_ms : op->due_ms);"),
    18: ("sqlite_audit.c", "the anchor never moves",
         "progress->changes == self->anchored)", "progress->changes == self->anchored || planted(18))"),
    19: ("sqlite_audit.c", "a log is accepted that lacks its end",
         "    if (anchor.changes > progress->changes)",
         "    if (anchor.changes > progress->changes && !planted(19))"),
    20: ("store_files.c", "what a killed process left in the log is not synced",
         "    bool is_synced = fdatasync(fd) == 0;",
         "    bool is_synced = planted(20) || fdatasync(fd) == 0;"),
    21: ("sqlite_open.c", "after a failed sync the cache is believed",
         "    if (*is_suspect_out)\n        fault_forget", "    if (*is_suspect_out && !planted(21))\n"
         "        fault_forget"),
    22: ("sqlite_audit.c", "a record is not in the chain",
         "    audit_head_add(&progress->head, view_of(at, size));",
         "    if (!planted(22) || record->n % 16 != 0)\n"
         "        audit_head_add(&progress->head, view_of(at, size));"),
}

# Text that is always another: (file, text, other text).
KNOBS = [
    ("sqlite_idle.c", "LOG_PAGES_SOFT = 1024,", "LOG_PAGES_SOFT = 24,"),
    ("sqlite_idle.c", "LOG_PAGES_HARD = 8 * 1024,", "LOG_PAGES_HARD = 64,"),
]

PLANTED = plant.Plants(
    __doc__, PLANTS, knobs=KNOBS, unit="point",
    found=r"^seed \d+ fails after (\d+) points: (.*)",
    command=lambda number, points, first: ["--plant", str(number), "--points", str(points),
                                           "--seed", str(first)])

if __name__ == "__main__":
    sys.exit(PLANTED.main(sys.argv[1:]))
