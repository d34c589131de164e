"""rpc_cells.py - what is measured: one cell is a server, a load, and the CPUs they have.

target_cells() is what the targets name, in under five minutes; full_cells() is every combination.
"""

import dataclasses

SPLIT = "pinned"            # the server on one CPU, the load on the other
FREE = "unpinned"
ONE = "one CPU"             # all of it: for one request at a time there is nothing to part

RELAY = "relay"
API = "api"                 # as g1, with peers made with the library
SERVICES_LIMIT = 20_000     # given to mdbroker


@dataclasses.dataclass(frozen=True)
class Cell:
    """One thing to measure. `system` is the load's dialect: it says what server it needs."""

    system: str
    place: str
    window: int = 100
    clients: int = 1
    workers: int = 1
    credit: int = 1
    body: int = 100
    waiting_services: int = 0
    idle_workers: int = 0

    def name(self):
        more = ""
        if self.waiting_services:
            more += f", {self.waiting_services} waiting services"
        if self.idle_workers:
            more += f", {self.idle_workers} idle workers"
        return (f"{self.label()}, window {self.window}, {self.clients}c/{self.workers}w, "
                f"{self.body} B{more}, {self.place}")

    def server(self):
        """What server it needs, in the words of Programs.server_command."""
        return self.system

    def label(self):
        """What the table calls the system."""
        if self.system == RELAY:
            return "relay"
        if self.system == "g1":
            return f"G1, credit {self.credit}"
        if self.system == API:
            return f"G1, credit {self.credit}, the library's peers"
        return f"MDP/{self.system}"

    def arguments(self):
        """The load's."""
        words = [self.system]
        for option in ("window", "clients", "workers", "credit", "body"):
            words += [f"--{option}", str(getattr(self, option))]
        if self.waiting_services:
            words += ["--waiting-services", str(self.waiting_services)]
        if self.idle_workers:
            words += ["--idle-workers", str(self.idle_workers)]
        return words

    def relay(self):
        """The relay's cell that this one is compared to: the same load; where it has workers by
        the dozen, which a relay does not need, as many workers as clients."""
        workers = self.workers if self.workers <= 4 else self.clients
        return Cell(RELAY, self.place, self.window, self.clients, workers, body=self.body)

    def plain(self):
        """The same without bystanders."""
        return dataclasses.replace(self, waiting_services=0, idle_workers=0)


# ---- What the targets name ----------------------------------------------------------------------

ONE_ONE = {"clients": 1, "workers": 1}
FOUR_FOUR = {"clients": 4, "workers": 4}
TEN_KIB = 10_240


def g1_one(place):
    return Cell("g1", place, window=100, credit=100, **ONE_ONE)


def g1_four(place):
    return Cell("g1", place, window=100, credit=100, **FOUR_FOUR)


def g1_thousand(place):
    return Cell("g1", place, window=1000, credit=1000, **FOUR_FOUR)


def g1_single():
    return Cell("g1", ONE, window=1, credit=100, **ONE_ONE)


def g1_large(place):
    return Cell("g1", place, window=100, credit=100, body=TEN_KIB, **ONE_ONE)


def old_four(place):
    return Cell("0.1", place, window=100, **FOUR_FOUR)


def old_many(place):
    return Cell("0.1", place, window=100, clients=1, workers=64)


def many_services(count):
    return dataclasses.replace(g1_four(SPLIT), waiting_services=count)


def many_workers(count):
    return dataclasses.replace(g1_four(SPLIT), idle_workers=count)


def with_relays(cells):
    """Puts each cell's relay before it, once."""
    out = []
    for cell in cells:
        for one in (cell.relay(), cell):
            if one not in out:
                out.append(one)
    return out


def target_cells():
    cells = with_relays([g1_single()])
    for place in (SPLIT, FREE):
        cells += with_relays([g1_one(place), g1_four(place), old_four(place), old_many(place),
                              g1_thousand(place), g1_large(place)])
    # Beside the load that they are compared to.
    at = cells.index(g1_four(SPLIT)) + 1
    cells[at:at] = [many_services(10_000), many_workers(1_000)]
    return cells


# ---- Every combination --------------------------------------------------------------------------


def systems(window, clients, body, place):
    """All systems under one load."""
    load = {"window": window, "clients": clients, "body": body}
    for workers in (1, 4):
        yield Cell(RELAY, place, workers=workers, **load)
    for workers in (1, 4):
        for credit in (100, 1000):
            yield Cell("g1", place, workers=workers, credit=credit, **load)
        yield Cell(API, place, workers=workers, credit=100, **load)
    for dialect in ("0.1", "0.2"):
        for workers in (1, 4, 64):
            yield Cell(dialect, place, workers=workers, **load)


def growth_cells():
    for count in (1, 100, 10_000):
        yield many_services(count)
    for count in (1, 100, 1_000):
        yield many_workers(count)
    for place in (SPLIT, FREE):
        thousand = {"window": 1, "clients": 1_000}
        yield Cell(RELAY, place, workers=4, **thousand)
        yield Cell("g1", place, workers=4, credit=1000, **thousand)
        yield Cell("g1", place, window=100, clients=4, workers=100, credit=100)
        yield Cell("g1", place, window=100, clients=4, workers=1_000, credit=100)


def full_cells():
    cells = []
    for window in (1, 100, 1000):
        for body in (100, TEN_KIB):
            for clients in (1, 4):
                for place in (ONE if window == 1 else SPLIT, FREE):
                    cells += systems(window, clients, body, place)
    return cells + [cell for cell in growth_cells() if cell not in cells]
