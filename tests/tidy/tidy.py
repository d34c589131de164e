#!/usr/bin/env python3
"""tidy.py - holds the tree to its own rules: floors, sizes, banned calls, format.

Usage: tidy.py [--nm NM] [--archive FLOOR=FILE]... [ROOT]

Each finding is one line, `file:line: what is wrong`, and any finding is exit code 1. The rules are
the constants below and the functions check_*; test_tidy.py shows each of them a file that breaks it.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys

# ---- The rules ----------------------------------------------------------------------------------

# The floors, lowest first. A file includes headers of its own floor and of those below.
FLOORS = ["base", "wire", "core", "store", "shell", "ops"]
PURE_FLOORS = ["base", "wire", "core"]
STANDARD_HEADERS = {"stdbool.h", "stddef.h", "stdint.h", "string.h", "limits.h"}
# Pure functions from elsewhere: a floor, and the system's headers that it may include besides.
FURTHER_HEADERS = {"wire": {"sodium/crypto_hash_sha256.h", "cpuid.h", "immintrin.h"}}
# Floors that stand beside each other, and do not know each other.
STRANGERS = {("store", "core"), ("core", "store")}
# Public headers that know no socket, and that wire and core may use therefore.
PURE_PUBLIC_HEADERS = {"galleon/status.h", "galleon/heartbeat.h", "galleon/mdp.h"}
SOCKET_HEADERS = {"czmq.h", "zmq.h"}
PROGRAM_FOLDERS = ["brokers", "workers", "clients"]
SOURCE_FOLDERS = ["lib"] + PROGRAM_FOLDERS + ["examples", "tests", "bench"]

# What base, wire and core may leave undefined besides each other.
ALLOWED_SYMBOLS = re.compile(
    r"mem(cpy|move|set|cmp|chr)|bcmp|__mem(cpy|move|set)_chk"
    r"|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_"
    r"|crypto_hash_sha256_(init|update|final)"
    r"|__(asan|ubsan|tsan|sanitizer|sancov|start___sancov|stop___sancov|gcov)_\w+"
)

FILE_LINES_MAX = 1000
FUNCTION_LINES_MAX = 70
LINE_COLUMNS_MAX = 100

# Calls nobody makes, and what to do instead.
BANNED_IN_LIB = {
    r"\bassert\s*\(": "assert is compiled out; use must, or return a status",
}
BANNED_IN_PRODUCT = {
    r"\bzhashx?(_\w+)?\b": "a name a peer chose is hashed with a key; use map.h",
    r"\bzmsg_decode\b": "zmsg_decode trusts lengths that a peer chose",
    r"\bzframe_streq\b": "zframe_streq ends the process on a frame with a NUL",
    r"\bzframe_strdup\b": "zframe_strdup cuts a frame at its first NUL",
    r"\bzmsg_popstr\b": "zmsg_popstr cuts a frame at its first NUL",
    r"\bzclock_(time|mono|usecs)\b": "one clock only: galleon_now_ns",
    r"\b(gettimeofday|timespec_get|time)\s*\(": "one clock only: galleon_now_ns",
    r"\bato[ifl]l?\s*\(": "ato* cannot fail; parse the number",
    r"\bv?sprintf\s*\(": "sprintf knows no bound; use snprintf",
    r"\bstr(cpy|cat)\s*\(": "strcpy and strcat know no bound; use memcpy with a length",
    r"\bgets\s*\(": "gets knows no bound",
    # srand is allowed: libzmq draws routing ids from the C library, so somebody has to seed it.
    r"\b(rand|s?random|rand_r|[dlm]rand48)\s*\(": "no hidden randomness; use prng.h or siphash.h",
    r"\w*(ROUTER_HANDOVER|router_handover)\b": "handover lets one peer take another's place",
}
CLOCK_CALL = r"\bclock_gettime\s*\("
CLOCK_FILES = {"lib/shell/clock.c", "lib/shell/loop.c"}
CLOCK_STAND_IN = "clients/drills/step_clock.c"     # is the C library's clocks, for a drill
UNFINISHED = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" * 3]) + r")\b")

# ---- The tree -----------------------------------------------------------------------------------


class Source:
    """One C file: its path from the root, its text, and its code without comments and strings."""

    def __init__(self, root, path):
        self.path = path
        with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
            self.text = file.read()
        self.lines = self.text.splitlines()
        self.code = strip_comments_and_strings(self.text)

    def is_header(self):
        return self.path.endswith(".h")

    def name(self):
        return os.path.basename(self.path)

    def is_under(self, *folders):
        return self.path.split("/")[0] in folders

    def floor(self):
        """The floor under lib/ that the file belongs to, or None."""
        parts = self.path.split("/")
        return parts[1] if parts[0] == "lib" and len(parts) > 2 and parts[1] != "include" else None

    def public_name(self):
        """What users write to include it, or None."""
        prefix = "lib/include/"
        return self.path[len(prefix):] if self.path.startswith(prefix) else None


def strip_comments_and_strings(text):
    """Blanks comments and what stands in quotes, and keeps every line where it was."""
    token = re.compile(
        r"//(?:\\\n|[^\n])*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL
    )

    def blank(match):
        quote = match.group()[0] if match.group()[0] in "\"'" else ""
        return quote + "\n" * match.group().count("\n") + quote

    return token.sub(blank, text)


def walk(root, folders):
    """Yields the path from root of every file in folders, in order, without what is not ours."""
    for folder in folders:
        for where, names, files in os.walk(os.path.join(root, folder)):
            names[:] = sorted(set(names) - {"build", "node_modules", "__pycache__", "corpus"})
            for name in sorted(files):
                yield os.path.relpath(os.path.join(where, name), root).replace(os.sep, "/")


def read_sources(root):
    return [Source(root, path) for path in walk(root, SOURCE_FOLDERS) if path.endswith((".c", ".h"))]


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


# ---- 1. Includes: arrows point down only --------------------------------------------------------


def includes_of(source):
    """Yields (line, name, is_quoted) for each include."""
    for number, line in enumerate(source.lines, 1):
        match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
        if match:
            yield number, match.group(2), match.group(1) == '"'


def resolve(root, source, name, is_quoted):
    """Says what an include means: ('floor', f), ('public', name) or ('system', name)."""
    if is_quoted and source.public_name():
        beside = os.path.normpath(os.path.join(os.path.dirname(source.path), name))
        if os.path.isfile(os.path.join(root, beside)):
            return "public", os.path.relpath(beside, "lib/include")
    own = source.floor()
    order = ([own] if own else []) + [floor for floor in FLOORS if floor != own]
    for floor in order:
        if is_quoted and os.path.isfile(os.path.join(root, "lib", floor, name)):
            return "floor", floor
    if os.path.isfile(os.path.join(root, "lib/include", name)):
        return "public", name
    return "system", name


def why_not_included(source, kind, target):
    """Says why a file may not include this, or None when it may."""
    floor = source.floor()
    public = source.public_name()
    is_pure = floor in PURE_FLOORS or public in PURE_PUBLIC_HEADERS
    if kind == "floor":
        if public:
            return "a public header includes public headers only"
        if floor in FLOORS and FLOORS.index(target) > FLOORS.index(floor):
            return f"{floor} is below {target}"
        if (floor, target) in STRANGERS:
            return f"{floor} and {target} do not know each other"
    if kind == "public" and is_pure:
        if target not in PURE_PUBLIC_HEADERS:
            return "it knows sockets"
        if floor == "base":
            return "base includes base only"
    if kind == "system":
        if target in FURTHER_HEADERS.get(floor, ()):
            return None
        if is_pure and target not in STANDARD_HEADERS:
            return "it is not one of " + " ".join(sorted(STANDARD_HEADERS))
        if floor == "store" and target in SOCKET_HEADERS:
            return "a store knows no sockets"
    return None


def check_includes(root, sources):
    for source in sources:
        for number, name, is_quoted in includes_of(source):
            why = why_not_included(source, *resolve(root, source, name, is_quoted))
            if why:
                yield f"{source.path}:{number}: may not include {name}: {why}"


# ---- 2. Symbols: base, wire and core call memory functions and each other -----------------------


def symbols_of(nm, archive, *options):
    out = subprocess.run(
        [nm, *options, archive], check=True, capture_output=True, text=True
    ).stdout
    return {line.split()[-1] for line in out.splitlines() if line and not line.endswith(":")}


def check_symbols(nm, archives):
    """Looks at the archives from the lowest up; each may use what those before it define."""
    known = set()
    for floor in PURE_FLOORS:
        if floor not in archives:
            continue
        archive = archives[floor]
        known |= symbols_of(nm, archive, "--defined-only", "--extern-only")
        for symbol in sorted(symbols_of(nm, archive, "--undefined-only") - known):
            if not ALLOWED_SYMBOLS.fullmatch(symbol):
                yield f"{os.path.basename(archive)}: {floor} may not call {symbol}"


# ---- 3. Sizes -----------------------------------------------------------------------------------


def functions_of(source):
    """Yields (name, first line, last line). Relies on the format: name and braces in column 0."""
    start = None
    for number, line in enumerate(source.lines, 1):
        if line == "{":
            start = number
        elif line == "}" and start:
            first, name = start, "?"
            for above in range(start - 1, max(0, start - 16), -1):
                match = re.match(r"([A-Za-z_]\w*)\s*\(", source.lines[above - 1])
                if match:
                    first, name = above, match.group(1)
                    break
            yield name, first, number
            start = None


def check_sizes(sources):
    for source in sources:
        if len(source.lines) > FILE_LINES_MAX:
            yield f"{source.path}:1: {len(source.lines)} lines; at most {FILE_LINES_MAX}"
        for number, line in enumerate(source.lines, 1):
            if len(line) > LINE_COLUMNS_MAX:
                yield f"{source.path}:{number}: {len(line)} columns; at most {LINE_COLUMNS_MAX}"
        for name, first, last in functions_of(source):
            size = last - first + 1
            if size > FUNCTION_LINES_MAX:
                yield f"{source.path}:{first}: {name} has {size} lines; at most {FUNCTION_LINES_MAX}"


# ---- 4. Banned calls ----------------------------------------------------------------------------


def check_banned(sources):
    for source in sources:
        rules = {}
        if source.is_under("lib"):
            rules.update(BANNED_IN_LIB)
        if source.is_under("lib", *PROGRAM_FOLDERS) and source.path != CLOCK_STAND_IN:
            rules.update(BANNED_IN_PRODUCT)
            if source.path not in CLOCK_FILES:
                rules[CLOCK_CALL] = "only the loop reads the clock; use galleon_now_ns"
        for pattern, why in rules.items():
            for match in re.finditer(pattern, source.code):
                yield f"{source.path}:{line_of(source.code, match.start())}: {why}"
    yield from check_one_clock(sources)


def check_one_clock(sources):
    readers = [s.path for s in sources if s.path in CLOCK_FILES and re.search(CLOCK_CALL, s.code)]
    if len(readers) > 1:
        yield f"{readers[1]}:1: reads the clock, and so does {readers[0]}; one file does"


# ---- 5. Nothing unfinished ----------------------------------------------------------------------


def is_text(path):
    name = os.path.basename(path)
    return name.endswith((".c", ".h", ".py", ".sh", ".js", ".cmake", ".txt")) or "." not in name


def check_unfinished(root):
    paths = [p for p in walk(root, SOURCE_FOLDERS + ["cmake", ".ci"]) if is_text(p)]
    paths += [p for p in ("CMakeLists.txt", "dev") if os.path.isfile(os.path.join(root, p))]
    for path in paths:
        with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
            for number, line in enumerate(file, 1):
                match = UNFINISHED.search(line)
                if match:
                    yield f"{path}:{number}: {match.group()}: open an issue, or do it"


# ---- 6. Format ----------------------------------------------------------------------------------


def check_format(root, sources):
    tool = shutil.which("clang-format-14") or shutil.which("clang-format")
    if not tool:
        yield ".clang-format:1: clang-format is not installed: ./dev deps"
        return
    if not sources:
        return
    out = subprocess.run(
        [tool, "--dry-run", "--style=file", *[source.path for source in sources]],
        cwd=root, capture_output=True, text=True, check=False,
    ).stderr
    seen = set()
    for match in re.finditer(r"^(\S+?):(\d+):\d+: (?:warning|error): ", out, re.MULTILINE):
        if match.group(1) not in seen:
            seen.add(match.group(1))
            yield f"{match.group(1)}:{match.group(2)}: is not formatted: ./dev format"


# ---- 7. How a file opens, and that somebody builds it -------------------------------------------


def check_openings(sources):
    for source in sources:
        first = source.lines[0] if source.lines else ""
        if not re.match(r"// (\S+/)?" + re.escape(source.name()) + r" - \S", first):
            yield f"{source.path}:1: does not open with `// {source.name()} - what it is`"


def check_guards(sources):
    owner_of = {}
    for source in sources:
        if not source.is_header():
            continue
        stem = re.sub(r"\W", "_", source.name()[:-2]).upper()
        allowed = {f"GALLEON_{stem}_H"}
        if source.public_name() == "galleon.h":
            allowed = {"GALLEON_H"}
        elif source.floor():
            allowed.add(f"GALLEON_{source.floor().upper()}_{stem}_H")
        match = re.search(r"^#ifndef (\w+)\n#define (\w+)$", source.code, re.MULTILINE)
        if not match or match.group(1) != match.group(2) or match.group(1) not in allowed:
            yield f"{source.path}:1: has no guard {' or '.join(sorted(allowed))}"
        elif match.group(1) in owner_of:
            yield f"{source.path}:1: has the guard of {owner_of[match.group(1)]}"
        else:
            owner_of[match.group(1)] = source.path


def check_listed(root, sources):
    lists = [p for p in walk(root, SOURCE_FOLDERS + ["cmake"])
             if p.endswith((".cmake", "CMakeLists.txt"))]
    listed = ""
    for path in lists + ["CMakeLists.txt"]:
        if os.path.isfile(os.path.join(root, path)):
            with open(os.path.join(root, path), encoding="utf-8") as file:
                listed += file.read()
    words = set(re.findall(r"[\w.+-]+", listed))
    for source in sources:
        if source.name().endswith(".c") and source.name() not in words:
            yield f"{source.path}:1: is in no CMakeLists.txt, so nobody builds it"


# ---- 8. Scripts ---------------------------------------------------------------------------------


def check_executable(root):
    for path in [*walk(root, SOURCE_FOLDERS + ["cmake", ".ci"]), "dev"]:
        full = os.path.join(root, path)
        if os.path.isfile(full) and not os.access(full, os.X_OK):
            with open(full, "rb") as file:
                if file.read(2) == b"#!":
                    yield f"{path}:1: begins with #! and cannot be executed"


# ---- All of it ----------------------------------------------------------------------------------


def findings(root, nm="nm", archives=None):
    sources = read_sources(root)
    yield from check_includes(root, sources)
    yield from check_symbols(nm, archives or {})
    yield from check_sizes(sources)
    yield from check_banned(sources)
    yield from check_unfinished(root)
    yield from check_format(root, sources)
    yield from check_openings(sources)
    yield from check_guards(sources)
    yield from check_listed(root, sources)
    yield from check_executable(root)


def main():
    parser = argparse.ArgumentParser(description="Holds the tree to its own rules.")
    parser.add_argument("--nm", default="nm")
    parser.add_argument("--archive", action="append", default=[], metavar="FLOOR=FILE")
    parser.add_argument("root", nargs="?", default=".")
    arguments = parser.parse_args()
    archives = dict(pair.split("=", 1) for pair in arguments.archive)
    count = 0
    for finding in findings(arguments.root, arguments.nm, archives):
        print(finding)
        count += 1
    print(f"{count} findings")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
