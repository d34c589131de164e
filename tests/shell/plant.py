#!/usr/bin/env python3
"""plant.py - bugs in a copy of the store's writer, to see whether its test finds them.

Usage: plant.py copy TO FILE...               copy the files, with all bugs behind a switch
       plant.py hunt TEST_STORE_WRITER [NUMBER]  run each: a test has to fail

How a bug is written stands in tests/support/plant.py.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import plant  # noqa: E402

# number: (file, what is wrong, text, text with the bug)
PLANTS = {
    1: ("store_writer.c", "an operation is acknowledged before its commit",
        "    enum store_result result = count == 0 ? STORE_COMMITTED : apply(self, batch, count);",
        "    if (planted(1)) {\n        pthread_mutex_lock(&self->lock);\n"
        "        self->committed += count;\n        pthread_mutex_unlock(&self->lock);\n"
        "        tell(self);\n    }\n"
        "    enum store_result result = count == 0 ? STORE_COMMITTED : apply(self, batch, count);"),
    2: ("store_writer.c", "the watermark is one too far",
        "then what can wait.\n        pthread_mutex_lock(&self->lock);\n"
        "        self->committed += count;\n",
        "then what can wait.\n        pthread_mutex_lock(&self->lock);\n"
        "        self->committed += planted(1) ? 0 : "
        "count + planted(2) - (planted(3) && count > 1);\n"),
    3: ("store_writer.c", "the watermark is one too short", None, None),  # planted by 2
    4: ("store_writer.c", "what is in doubt is acknowledged",
        "    bool is_told = result != STORE_DOUBT;",
        "    bool is_told = result != STORE_DOUBT || planted(4);"),
    5: ("store_writer.c", "what a full disk has refused is acknowledged",
        "            batch[i]->outcome = DURABLE_REFUSED;",
        "            batch[i]->outcome = planted(5) ? DURABLE_OK : DURABLE_REFUSED;"),
    6: ("store_writer.c", "a store at fault is written to",
        "    if (self->state.result == STORE_FAULT) {",
        "    if (self->state.result == STORE_FAULT && !planted(6)) {"),
    7: ("store_writer.c", "the anchor is ahead of the commit",
        "    uint64_t from_ns = galleon_now_ns();\n    enum store_result result = store_apply",
        "    uint64_t from_ns = galleon_now_ns();\n    if (planted(7))\n"
        "        (void)store_anchor(self->options.store);\n"
        "    enum store_result result = store_apply"),
}

PLANTED = plant.Plants(
    __doc__, PLANTS, unit="test", found=r"^not ok (\d+) - (.*)",
    command=lambda number, *_: ["--plant", str(number)])

if __name__ == "__main__":
    sys.exit(PLANTED.main(sys.argv[1:]))
