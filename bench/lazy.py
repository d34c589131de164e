#!/usr/bin/env python3
"""lazy.py - measures the Lazy Pirate client: its latency, and how fast it leaves a server.

Usage: ./dev bench lazy [OPTION]...        the method is in bench/README.md

Prints a table of medians, and which targets are reached. Exit code 1 where a call failed.
"""

import argparse
import os
import re
import signal
import statistics
import sys

from rpc import on_interrupt, say
from rpc_cells import FREE, ONE
from rpc_report import Target, ratio_text, table, time_text, write_markdown
from rpc_run import ANY_PORT, Machine, RunFailed, Server, run_to_end

REPEATS = 5
CALLS = 10000               # of each, for one median
FAILOVERS = 20
TIMEOUT = 100               # ms
BEGIN = "<!-- lazy: generated from here -->"
END = "<!-- lazy: to here -->"
NEW_FILE = """# Benchmark of the Lazy Pirate client

What `./dev bench lazy` measured. The method, and how to read it, are in
[bench/README.md](../bench/README.md).
"""
NOWHERE = "tcp://127.0.0.1:1"
# What the first server does, and the body that makes it do so.
FAILURES = (("stops to reply", "S", TIMEOUT), ("hangs up", "K", 0), ("is not there", "x", 0))


def parse_arguments():
    parser = argparse.ArgumentParser(prog="./dev bench lazy",
                                     description="Measures the Lazy Pirate client.")
    parser.add_argument("--repeats", type=int, default=REPEATS, metavar="N",
                        help=f"of everything ({REPEATS})")
    parser.add_argument("--calls", type=int, default=CALLS, metavar="N",
                        help=f"of each client in a repeat ({CALLS})")
    parser.add_argument("--failovers", type=int, default=FAILOVERS, metavar="N",
                        help=f"of each kind in a repeat ({FAILOVERS})")
    parser.add_argument("--timeout", type=int, default=TIMEOUT, metavar="MS",
                        help=f"of an attempt ({TIMEOUT})")
    parser.add_argument("--markdown", metavar="FILE", help="write the table into FILE, too")
    parser.add_argument("--build", metavar="FOLDER",
                        default=os.environ.get("GALLEON_BUILD", "build/release"),
                        help="where the programs are (build/release)")
    return parser.parse_args()


class Bench:
    """The programs, and one run of each kind."""

    def __init__(self, arguments, machine):
        self.arguments, self.machine = arguments, machine
        folder = os.path.join(arguments.build, "bench")
        self.load, self.server = (os.path.join(folder, name)
                                  for name in ("lazy_load", "lazy_server"))

    def missing(self):
        for path in (self.load, self.server):
            if not os.access(path, os.X_OK):
                return os.path.basename(path)
        return None

    def serve(self, place, *options):
        return Server([self.server, *options, ANY_PORT], self.machine.server_cpus(place))

    def run(self, place, *words):
        code, out, err = run_to_end([self.load, *map(str, words)], self.machine.load_cpus(place),
                                    60)
        if code != 0:
            raise RunFailed(err.strip() or f"exit code {code}")
        return {name: float(value) for name, value in re.findall(r"(\w+)=([\d.]+)(?=\s)", out)}

    def latency(self, place):
        with self.serve(place) as server:
            return self.run(place, "latency", server.endpoints[0], self.arguments.calls)

    def failover(self, body):
        with self.serve(FREE, "--odd") as first, self.serve(FREE) as second:
            return self.run(FREE, "failover", NOWHERE if body == "x" else first.endpoints[0],
                            second.endpoints[0], body, self.arguments.timeout,
                            self.arguments.failovers)


def run_all(bench, arguments, latencies, failovers):
    for repeat in range(1, arguments.repeats + 1):
        for place in (FREE, ONE):
            say(f"repeat {repeat} of {arguments.repeats}: latency, {place}")
            latencies.setdefault(place, []).append(bench.latency(place))
        for what, body, _ in FAILURES:
            say(f"repeat {repeat} of {arguments.repeats}: the first server {what}")
            failovers.setdefault(what, []).append(bench.failover(body))
    say("")


def median(runs, name):
    return statistics.median(run[name] for run in runs)


def ratio(runs):
    return statistics.median(run["lazy_p50_us"] / run["bare_p50_us"] for run in runs)


def report(arguments, latencies, failovers):
    """The tables, parted by empty lines."""
    rows = [[place, client, time_text(median(runs, f"{name}_p50_us")),
             time_text(median(runs, f"{name}_p99_us")),
             ratio_text(ratio(runs)) if name == "lazy" else "1"]
            for place, runs in latencies.items()
            for client, name in (("bare REQ socket", "bare"), ("lazy_pirate", "lazy"))]
    parts = [table(["place", "client", "p50", "p99", "of the bare socket's"], rows)]
    rows, targets = [], []
    for what, body, waited in FAILURES:
        runs = failovers[what]
        most = max(run["failover_max_us"] for run in runs)
        rows.append([what, time_text(median(runs, "failover_p50_us")), time_text(most)])
        patience = arguments.timeout if waited else 0
        targets.append(Target(f"failover, the first server {what}: the longest, beyond "
                              + (f"the timeout of {patience} ms" if patience else "nothing"),
                              50, True, most / 1000 - patience, " ms"))
    parts.append(table([f"the first server (timeout {arguments.timeout} ms)", "median", "longest"],
                       rows))
    targets = [Target(f"median latency of a bare REQ socket's, {place}", 1.1, True, ratio(runs))
               for place, runs in latencies.items()] + targets
    parts.append(table(["target", "wanted", "measured", ""], [target.row() for target in targets]))
    return "\n\n".join(parts)


def main():
    arguments = parse_arguments()
    bench = Bench(arguments, Machine())
    missing = bench.missing()
    if missing:
        print(f"lazy.py: {missing} is not built: use ./dev bench lazy", file=sys.stderr)
        return 2
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_interrupt)
    latencies, failovers = {}, {}
    try:
        run_all(bench, arguments, latencies, failovers)
    except KeyboardInterrupt:
        print("\nlazy.py: interrupted", file=sys.stderr)
        return 130
    except RunFailed as failure:
        print(f"\nlazy.py: {failure}", file=sys.stderr)
        return 1
    text = report(arguments, latencies, failovers)
    print(text)
    if arguments.markdown:
        write_markdown(arguments.markdown, text, BEGIN, END, NEW_FILE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
