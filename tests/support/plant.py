"""plant.py - bugs that are planted into copies of our sources, and the hunt for them.

What the scripts that have some share (tests/sim/plant.py, tests/store/plant.py, tests/shell/plant.py).

A bug is one place in one file: the text as it is, and the text with `planted(N) ? wrong : right` in
it. Where the text is not found exactly once the build fails, and whoever changed it changes the bug
too. A table (plants.txt) has for each bug within how many seeds, points or the like it has to be
found, and maybe from which on; a rise is a regression of what hunts it. There is none where all
that hunts is run.
"""

import os
import re
import subprocess
import sys


class Plants:
    """Some bugs, and how they are hunted."""

    def __init__(self, usage, bugs, command, found, unit, more=None, knobs=()):
        """bugs and more are {number: (file, what is wrong, text, text with the bug)}; more are
        planted, and hunted elsewhere. A bug whose text is None is planted by another. command
        makes the arguments of a program out of a bug, its number in the table, and where to begin
        (1 where the table does not say). found matches
        what the program says of a bug that it has found: after how many units, and how. knobs are
        (file, text, other text): what is another in all copies."""
        self.usage = usage
        self.bugs = bugs
        self.command = command
        self.found = re.compile(found, re.MULTILINE)
        self.unit = unit
        self.all = {**bugs, **(more or {})}
        self.knobs = knobs

    # ---- copies ------------------------------------------------------------------------------

    def put_in(self, name, text, right, wrong, what):
        if text.count(right) != 1:
            sys.exit(f"plant.py: {name}: {what}: its text is there {text.count(right)} times, "
                     "not once")
        return text.replace(right, wrong)

    def plant(self, name, text):
        """Puts every bug and knob of a file into its text."""
        for file, right, other in self.knobs:
            if file == name:
                text = self.put_in(name, text, right, other, f'the knob "{right}"')
        for number, (file, what, right, wrong) in sorted(self.all.items()):
            if file == name and right is not None:
                text = self.put_in(name, text, right, wrong, f"bug {number} ({what})")
        return '#include "planted.h"\n' + text

    def copy(self, to, sources):
        os.makedirs(to, exist_ok=True)
        names = {os.path.basename(source) for source in sources}
        missing = {file for file, *_ in self.all.values()} - names
        if missing:
            sys.exit("plant.py: no such files: " + " ".join(sorted(missing)))
        for source in sources:
            name = os.path.basename(source)
            with open(source, encoding="utf-8") as file:
                text = self.plant(name, file.read())
            with open(os.path.join(to, name), "w", encoding="utf-8") as file:
                file.write(text)

    # ---- the hunt ----------------------------------------------------------------------------

    def hunt_one(self, program, number, most, first):
        """Runs one bug; says what found it, or None."""
        command = [program, *self.command(number, most, first)]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        match = self.found.search(run.stdout)
        if run.returncode not in (0, 1) or (run.returncode == 1 and not match):
            print(run.stdout[-2000:], run.stderr[-2000:])
        return match and (int(match.group(1)), match.group(2))

    def hunt(self, program, table, only):
        missed = 0
        for number, (_, what, *_) in sorted(self.bugs.items()):
            if only and number != only:
                continue
            if table is not None and number not in table:
                sys.exit(f"plant.py: bug {number} ({what}) is not in the table")
            most, first = table[number] if table is not None else (None, 1)
            found = self.hunt_one(program, number, most, first)
            if found:
                print(f"{number:3} {self.unit} {found[0]:5}  {what}: {found[1]}", flush=True)
            else:
                print(f"{number:3} NOT FOUND in {most or 'all'} {self.unit}s: {what}", flush=True)
                missed += 1
        return 1 if missed else 0

    def main(self, arguments):
        if len(arguments) > 2 and arguments[0] == "copy":
            return self.copy(arguments[1], arguments[2:])
        if len(arguments) > 1 and arguments[0] == "hunt":
            rest = arguments[2:]
            table = read_table(rest.pop(0)) if rest and not rest[0].isdigit() else None
            return self.hunt(arguments[1], table, int(rest[0]) if rest else None)
        sys.exit(self.usage)


def read_table(path):
    """The number of each bug, and where to begin."""
    table = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            match = re.match(r"\s*(\d+)\s+(\d+)(?:\s+(\d+))?\s*$", line)
            if match:
                table[int(match.group(1))] = int(match.group(2)), int(match.group(3) or 1)
    return table
