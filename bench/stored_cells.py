"""stored_cells.py - what submit and durable measure: one cell is a system and a load."""

import dataclasses

SYNC = "fdatasync"          # a growing file, 100 bytes at a time: the disk
ECHO = "mdbroker alone"     # a plain call: the way to a worker and back
AUDITED = "titanic"         # --audit on is its default
PLAIN = "titanic --audit off"
REDIS = "Redis"             # streams, appendfsync always
POSTGRES = "PostgreSQL"     # a statement for each request, a transaction for each window
POSTGRES_ONE = "PostgreSQL, one statement"     # as many rows in one INSERT

OURS = (AUDITED, PLAIN)
PEERS = (REDIS, POSTGRES, POSTGRES_ONE)

SUBMIT, DURABLE = "submit", "durable"
KIB = 1024
WORKERS = 4                 # durable
CREDIT = 100                # of each


@dataclasses.dataclass(frozen=True)
class Cell:
    work: str
    system: str
    window: int
    body: int = 100

    def name(self):
        return f"{self.work}, {self.load()}, {self.system}"

    def load(self):
        """What the table calls it."""
        body = f"{self.body} B" if self.body < KIB else f"{self.body / KIB:g} KiB"
        return f"window {self.window}, {body}"

    def service(self):
        """Not the same for both works: what is submitted only would be in the way."""
        return f"bench.{self.work}"

    def of(self, system):
        """The same load at another system."""
        return dataclasses.replace(self, system=system)


def submit_cells():
    """Each load at everybody, one right after the other."""
    cells = [Cell(SUBMIT, SYNC, 1), Cell(SUBMIT, ECHO, 1)]
    for window, body in ((1, 100), (100, 100), (1000, 100), (100, KIB), (1000, KIB)):
        for system in (AUDITED, PLAIN, REDIS, POSTGRES, POSTGRES_ONE):
            if system != POSTGRES_ONE or window > 1:
                cells.append(Cell(SUBMIT, system, window, body))
    return cells


def durable_cells():
    return [Cell(DURABLE, system, 100) for system in (AUDITED, PLAIN, REDIS)]
