"""rpc_command.py - the command line, the runs and the report of a benchmark of a few cells."""

import argparse
import os
import signal
import sys

import rpc_report
from rpc import REPEATS, on_interrupt, run_all
from rpc_report import table


def parse_arguments(work, about, repeats):
    parser = argparse.ArgumentParser(prog=f"./dev bench {work}", description=about)
    parser.add_argument("--repeats", type=int, default=repeats, metavar="N",
                        help=f"of every cell ({repeats})")
    parser.add_argument("--measure", type=int, default=1000, metavar="MS",
                        help="of each run (1000)")
    parser.add_argument("--warmup", type=int, default=300, metavar="MS", help="before it (300)")
    parser.add_argument("--only", metavar="TEXT", help="cells whose name has TEXT in it")
    parser.add_argument("--list", action="store_true", help="name the cells, run nothing")
    parser.add_argument("--markdown", metavar="FILE", help="write the table into FILE, too")
    parser.add_argument("--build", metavar="FOLDER",
                        default=os.environ.get("GALLEON_BUILD", "build/release"),
                        help="where the programs are (build/release)")
    arguments = parser.parse_args()
    arguments.full = False
    return arguments


def report(results, machine, programs, main_table, targets):
    parts = [rpc_report.wrapped(rpc_report.facts(results, machine, programs))]
    if results.runs:
        parts += [main_table(results),
                  table(["target", "wanted", "measured", ""],
                        [target.row() for target in targets(results)
                         if target.value is not None or not results.is_partial])]
    if results.failures:
        parts.append("Runs that failed, and are in no figure:")
        parts.append("\n".join(f"- {failure}" for failure in results.failures))
    return "\n\n".join(parts)


class Command:
    """One such benchmark: what it is called and measures, and what its results are."""

    def __init__(self, work, about, main_table, targets, marks, run_one=None, repeats=REPEATS):
        """marks are those of its part in a page, and the text of a new page."""
        self.work, self.about = work, about
        self.main_table, self.targets, self.marks = main_table, targets, marks
        self.further = [] if run_one is None else [run_one]
        self.arguments = parse_arguments(work, about, repeats)

    def say(self, text):
        print(f"{self.work}.py: {text}", file=sys.stderr)

    def run(self, cells, programs_of, machine, why_not=None):
        """Does all of it; the exit code."""
        arguments = self.arguments
        cells = [cell for cell in cells if not arguments.only or arguments.only in cell.name()]
        if arguments.list:
            print("\n".join(cell.name() for cell in cells))
            return 0
        programs = programs_of(arguments.build)
        missing = programs.missing()
        if missing or why_not:
            self.say(f"{missing} is not built: use ./dev bench {self.work}" if missing else why_not)
            return 2
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, on_interrupt)
        results = rpc_report.Results()
        results.is_partial = bool(arguments.only)
        is_interrupted = False
        try:
            run_all(cells, programs, machine, arguments, results, *self.further)
        except KeyboardInterrupt:
            is_interrupted = True
            print("", file=sys.stderr)
            self.say("interrupted; this is what there is")
        text = report(results, machine, programs, self.main_table, self.targets)
        print(text)
        if is_interrupted:
            return 130
        if arguments.markdown:
            rpc_report.write_markdown(arguments.markdown, text, *self.marks)
        return 1 if results.failures else 0
