#!/usr/bin/env python3
"""test_tidy.py - shows tidy.py one small bad example of each kind, and expects it to be found.

Usage: test_tidy.py [--nm NM] [--cc CC]

Every example is a copy of the same small good tree, in which nothing is found, with one file
changed or added. Exactly one finding must come out, and it must be the expected one.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile

import tidy

HERE = os.path.dirname(os.path.abspath(__file__))


def header(path, guard, body=""):
    name = os.path.basename(path)
    return f"// {name} - an example.\n\n#ifndef {guard}\n#define {guard}\n{body}\n#endif\n"


def source(path, body="", includes=""):
    name = os.path.basename(path)
    return f"// {name} - an example.\n\n" + (f"{includes}\n" if includes else "") + body


def function(statement, name="example"):
    return f"int\n{name}(void)\n{{\n    {statement}\n}}\n"


ANSWER = "return 42;"

GOOD_TREE = {
    "CMakeLists.txt": "set(A must.c mdp_wire.c broker_core.c clock.c mdp_broker.c config.c mdbroker.c)\n"
                      "set(B test_must.c echo.c)\n",
    "dev": "#!/bin/bash\n",
    "lib/include/galleon.h": header("galleon.h", "GALLEON_H", '\n#include "galleon/mdp_broker.h"\n'),
    "lib/include/galleon/status.h": header("status.h", "GALLEON_STATUS_H", "\n#include <stdint.h>\n"),
    "lib/include/galleon/mdp.h": header("mdp.h", "GALLEON_MDP_H", '\n#include "status.h"\n'),
    "lib/include/galleon/mdp_broker.h": header(
        "mdp_broker.h", "GALLEON_MDP_BROKER_H", '\n#include "mdp.h"\n\n#include <czmq.h>\n'),
    "lib/base/must.h": header("must.h", "GALLEON_MUST_H"),
    "lib/base/must.c": source("must.c", function(ANSWER), '#include "must.h"\n\n#include <string.h>\n'),
    "lib/wire/mdp_wire.h": header(
        "mdp_wire.h", "GALLEON_WIRE_MDP_WIRE_H", '\n#include "galleon/mdp.h"\n#include "must.h"\n'),
    "lib/wire/mdp_wire.c": source("mdp_wire.c", function(ANSWER), '#include "mdp_wire.h"\n'),
    "lib/core/broker_core.h": header(
        "broker_core.h", "GALLEON_BROKER_CORE_H", '\n#include "mdp_wire.h"\n'),
    "lib/core/broker_core.c": source(
        "broker_core.c", function('return (int)sizeof("assert(time(0))"); // assert(1)'),
        '#include "broker_core.h"\n'),
    "lib/shell/clock.c": source("clock.c", function("return clock_gettime(7, 0);"), "#include <time.h>\n"),
    "lib/shell/mdp_broker.c": source(
        "mdp_broker.c", function(ANSWER), '#include "broker_core.h"\n\n#include <galleon.h>\n'),
    "lib/ops/config.h": header("config.h", "GALLEON_CONFIG_H"),
    "lib/ops/config.c": source("config.c", function(ANSWER), '#include "config.h"\n'),
    "brokers/mdbroker.c": source("mdbroker.c", function(ANSWER, "main"), '#include "config.h"\n'),
    "tests/base/test_must.c": source("test_must.c", function("assert(time(0));")),
    "bench/echo.c": source("echo.c", function("return rand();")),
}

PRODUCT = "lib/shell/mdp_broker.c"
BROKEN_ON_PURPOSE = "FIX" + "ME"
NOT_EXECUTABLE = "bench/measure.py"


def calls(path, statement):
    return {path: source(path, function(statement))}


def includes(path, *names):
    return {path: source(path, function(ANSWER), "".join(f"#include {name}\n" for name in names))}


# What the tree is to look like, and the one finding that must come out.
EXAMPLES = {
    "base_that_includes_wire":
        (includes("lib/base/must.c", '"mdp_wire.h"'), r"must\.c:3: .*base is below wire"),
    "base_that_includes_a_public_header":
        (includes("lib/base/must.c", "<galleon/status.h>"), r"must\.c:3: .*base includes base only"),
    "base_that_includes_stdio":
        (includes("lib/base/must.c", "<stdio.h>"), r"must\.c:3: may not include stdio\.h"),
    "wire_that_includes_core":
        (includes("lib/wire/mdp_wire.c", '"broker_core.h"'), r"wire is below core"),
    "wire_that_includes_a_public_header_with_sockets":
        (includes("lib/wire/mdp_wire.c", '"galleon/mdp_broker.h"'), r"mdp_broker\.h: it knows sockets"),
    "core_that_includes_the_whole_library":
        (includes("lib/core/broker_core.c", "<galleon.h>"), r"galleon\.h: it knows sockets"),
    "core_that_includes_zmq":
        (includes("lib/core/broker_core.c", "<zmq.h>"), r"broker_core\.c:3: may not include zmq\.h"),
    "core_that_includes_stdlib":
        (includes("lib/core/broker_core.c", "<stdlib.h>"), r"may not include stdlib\.h"),
    "core_header_that_includes_czmq":
        ({"lib/core/broker_core.h": header("broker_core.h", "GALLEON_BROKER_CORE_H",
                                           "\n#include <czmq.h>\n")},
         r"broker_core\.h:6: may not include czmq\.h"),
    "shell_that_includes_ops":
        (includes(PRODUCT, '"config.h"'), r"shell is below ops"),
    "store_that_includes_zmq":
        ({"CMakeLists.txt": GOOD_TREE["CMakeLists.txt"] + "sqlite.c\n",
          **includes("lib/store/sqlite.c", "<zmq.h>")}, r"a store knows no sockets"),
    "store_that_includes_core":
        ({"CMakeLists.txt": GOOD_TREE["CMakeLists.txt"] + "sqlite.c\n",
          **includes("lib/store/sqlite.c", '"broker_core.h"')},
         r"store and core do not know each other"),
    "core_that_includes_sodium":
        (includes("lib/core/broker_core.c", "<sodium/crypto_hash_sha256.h>"),
         r"may not include sodium/crypto_hash_sha256\.h"),
    "public_header_without_sockets_that_includes_czmq":
        ({"lib/include/galleon/mdp.h": header("mdp.h", "GALLEON_MDP_H", "\n#include <czmq.h>\n")},
         r"mdp\.h:6: may not include czmq\.h"),
    "public_header_that_includes_a_floor":
        ({"lib/include/galleon/mdp_broker.h": header(
            "mdp_broker.h", "GALLEON_MDP_BROKER_H", '\n#include "must.h"\n')},
         r"a public header includes public headers only"),
    "file_of_1001_lines":
        ({PRODUCT: source(PRODUCT, "int a;\n" * 999)}, r"mdp_broker\.c:1: 1001 lines"),
    "function_of_71_lines":
        ({PRODUCT: source(PRODUCT, "int\nlong_one(int a)\n{\n"
                          + "    a++;\n" * 67 + "    return a;\n}\n")},
         r"mdp_broker\.c:4: long_one has 71 lines"),
    "line_of_101_columns":
        ({PRODUCT: source(PRODUCT, "// " + "x" * 98 + "\n")}, r"mdp_broker\.c:3: 101 columns"),
    "assert_in_core": (calls("lib/core/broker_core.c", "assert(1);"), r"broker_core\.c:6: assert"),
    "zhash": (calls(PRODUCT, "return zhash_new() == 0;"), r":6: a name a peer chose"),
    "zhashx": (calls(PRODUCT, "return zhashx_new() == 0;"), r":6: a name a peer chose"),
    "zmsg_decode": (calls(PRODUCT, "return zmsg_decode(0) == 0;"), r":6: zmsg_decode"),
    "zframe_streq": (calls(PRODUCT, 'return zframe_streq(0, "a");'), r":6: zframe_streq"),
    "zframe_strdup": (calls(PRODUCT, "return zframe_strdup(0) == 0;"), r":6: zframe_strdup"),
    "zmsg_popstr": (calls(PRODUCT, "return zmsg_popstr(0) == 0;"), r":6: zmsg_popstr"),
    "zclock_time": (calls(PRODUCT, "return zclock_time() == 0;"), r":6: one clock only"),
    "zclock_mono": (calls(PRODUCT, "return zclock_mono() == 0;"), r":6: one clock only"),
    "time": (calls(PRODUCT, "return time(0) == 0;"), r":6: one clock only"),
    "atoi": (calls("brokers/mdbroker.c", 'return atoi("1");'), r"mdbroker\.c:6: ato"),
    "sprintf": (calls(PRODUCT, 'return sprintf(0, "1");'), r":6: sprintf"),
    "strcpy": (calls(PRODUCT, 'return strcpy(0, "1") == 0;'), r":6: strcpy"),
    "strcat": (calls(PRODUCT, 'return strcat(0, "1") == 0;'), r":6: strcpy and strcat"),
    "gets": (calls(PRODUCT, "return gets(0) == 0;"), r":6: gets"),
    "rand": (calls(PRODUCT, "return rand();"), r":6: no hidden randomness"),
    "random": (calls(PRODUCT, "return (int)random();"), r":6: no hidden randomness"),
    "router_handover": (calls(PRODUCT, "return ZMQ_ROUTER_HANDOVER;"), r":6: handover"),
    "router_handover_by_czmq":
        (calls(PRODUCT, "return zsock_set_router_handover(0, 1);"), r":6: handover"),
    "clock_read_outside_the_shell_loop":
        (calls(PRODUCT, "return clock_gettime(7, 0);"), r":6: only the loop reads the clock"),
    "clock_read_in_two_files":
        ({"CMakeLists.txt": GOOD_TREE["CMakeLists.txt"] + "loop.c\n",
          **calls("lib/shell/loop.c", "return clock_gettime(7, 0);")}, r"one file does"),
    "unfinished_source":
        ({PRODUCT: source(PRODUCT, f"// {BROKEN_ON_PURPOSE}: later\n")}, r":3: " + BROKEN_ON_PURPOSE),
    "unfinished_script":
        ({"dev": f"#!/bin/bash\n# {BROKEN_ON_PURPOSE} later\n"}, r"dev:2: " + BROKEN_ON_PURPOSE),
    "script_that_cannot_be_executed":
        ({NOT_EXECUTABLE: "#!/bin/bash\ntrue\n"}, r":1: begins with #! and cannot be executed"),
    "unformatted_file":
        ({PRODUCT: source(PRODUCT, "int example(void) { return 1; }\n")}, r":3: is not formatted"),
    "file_without_opening_comment":
        ({PRODUCT: function(ANSWER)}, r":1: does not open with"),
    "file_that_opens_with_another_name":
        ({PRODUCT: source("other.c", function(ANSWER))}, r":1: does not open with"),
    "header_without_guard":
        ({"lib/base/must.h": "// must.h - an example.\n\nint example(void);\n"},
         r"must\.h:1: has no guard GALLEON_"),
    "header_with_another_guard":
        ({"lib/base/must.h": header("must.h", "MUST_H")}, r"must\.h:1: has no guard GALLEON_"),
    "two_headers_with_one_guard":
        ({"lib/shell/must.h": header("must.h", "GALLEON_MUST_H")}, r"has the guard of lib/base/must\.h"),
    "source_that_nobody_builds":
        ({"lib/base/heap.c": source("heap.c", function(ANSWER))}, r"heap\.c:1: is in no CMakeLists"),
}


def write_tree(root, files):
    for path, text in files.items():
        os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
        with open(os.path.join(root, path), "w", encoding="utf-8") as file:
            file.write(text)
        if text.startswith("#!") and path != NOT_EXECUTABLE:
            os.chmod(os.path.join(root, path), 0o755)
    shutil.copy(os.path.join(HERE, "../../.clang-format"), root)


def findings_of(files):
    with tempfile.TemporaryDirectory() as root:
        write_tree(root, {**GOOD_TREE, **files})
        return list(tidy.findings(root))


def make_archive(cc, folder, name, text):
    path = os.path.join(folder, name)
    with open(path + ".c", "w", encoding="utf-8") as file:
        file.write(text)
    subprocess.run([cc, "-c", "-O0", "-fno-builtin", path + ".c", "-o", path + ".o"], check=True)
    subprocess.run(["ar", "rcs", path + ".a", path + ".o"], check=True)
    return path + ".a"


def symbol_findings(nm, cc, core_body):
    """What is found in archives of base and core, where core's only function has this body."""
    with tempfile.TemporaryDirectory() as folder:
        archives = {
            "base": make_archive(cc, folder, "base", "int below(void) { return 1; }\n"),
            "core": make_archive(
                cc, folder, "core",
                "void *malloc(unsigned long); void *memcpy(void *, const void *, unsigned long);\n"
                f"int below(void); int above(void); int core(char *a) {{ {core_body} }}\n"),
        }
        return list(tidy.check_symbols(nm, archives))


def problem(found, expected):
    """Says what is wrong with the findings of an example, or None."""
    if expected is None:
        return None if not found else f"found {found}"
    if len(found) != 1 or not re.search(expected, found[0]):
        return f"expected one finding like {expected!r}, found {found}"
    return None


def run(nm, cc):
    """Yields (name, problem or None) for each example."""
    yield "good_tree_is_passed", problem(findings_of({}), None)
    for name, (files, expected) in EXAMPLES.items():
        yield f"{name}_is_found", problem(findings_of(files), expected)
    allowed = symbol_findings(nm, cc, "memcpy(a, a, 1); return below();")
    yield "memcpy_and_lower_floors_may_be_called", problem(allowed, None)
    malloc = symbol_findings(nm, cc, "return malloc(1) == 0;")
    yield "malloc_in_core_is_found", problem(malloc, r"core may not call malloc$")
    above = symbol_findings(nm, cc, "return a[0] + above();")
    yield "call_to_a_higher_floor_is_found", problem(above, r"core may not call above$")


def main():
    parser = argparse.ArgumentParser(description="Tests tidy.py.")
    parser.add_argument("--nm", default="nm")
    parser.add_argument("--cc", default="cc")
    arguments = parser.parse_args()
    count = failed = 0
    for name, wrong in run(arguments.nm, arguments.cc):
        count += 1
        failed += wrong is not None
        print(f"not ok {count} - {name}\n# {wrong}" if wrong else f"ok {count} - {name}")
    print(f"1..{count}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
