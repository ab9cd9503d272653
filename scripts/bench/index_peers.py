"""Peers of the sample index in one process: SQLite (Python's own) and, where it is installed, DuckDB. Each keeps (key, timestamp, label)
in a table by key, appends by a query of its own engine in commits of 2^20 rows, scans one column, looks random keys up, and looks a range
of time up in an index. Times are a second apart on average. One line of JSON.

    python3 index_peers.py <sqlite|duckdb> <folder> <samples>
"""
import json
import random
import sys
import time
from pathlib import Path

BATCH, GATHERED = 1 << 20, 100_000


def timed(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def figures(samples, append, scan, gather, look_up, file):
    return {
        "samples": samples,
        "appendPerSecond": samples / timed(append),
        "scanPerSecond": samples / min(timed(scan) for _ in range(3)),
        "gatherPerSecond": GATHERED / min(timed(gather) for _ in range(2)),
        "lookUpSeconds": sorted(timed(look_up) for _ in range(20))[10],
        "bytesPerSample": sum(f.stat().st_size for f in file.parent.iterdir()) / samples,
    }


def sqlite(folder, samples):
    import sqlite3

    file = folder / "samples.sqlite"
    db = sqlite3.connect(file)
    db.execute("pragma journal_mode=wal")
    db.execute("create table samples (key integer primary key, timestamp integer, label real)")

    def append():
        for first in range(0, samples, BATCH):
            last = min(samples, first + BATCH)
            with db:
                db.execute(
                    "insert into samples with recursive k(i) as (select ? union all select i + 1 from k where i + 1 < ?) select i, 1000 * i + abs(random()) % 1000, i & 1 from k",
                    (first, last),
                )
        db.execute("pragma wal_checkpoint(truncate)")

    keys = [random.randrange(samples) for _ in range(GATHERED)]

    def gather():
        for key in keys:
            db.execute("select timestamp, label from samples where key = ?", (key,)).fetchone()

    def look_up():
        start = random.randrange(samples)
        db.execute("select min(key), max(key) from samples where timestamp >= ? and timestamp < ?", (1000 * start, 1000 * (start + 1000))).fetchone()

    append_and_index = lambda: (append(), db.execute("create index by_time on samples(timestamp)"), db.commit())
    scan = lambda: db.execute("select sum(timestamp) from samples").fetchone()
    return figures(samples, append_and_index, scan, gather, look_up, file)


def duckdb(folder, samples):
    import duckdb as engine

    file = folder / "samples.duckdb"
    db = engine.connect(str(file))
    db.execute("create table samples (key ubigint, timestamp bigint, label float)")

    def append():
        for first in range(0, samples, BATCH):
            db.execute("insert into samples select i, 1000 * i + hash(i) % 1000, i & 1 from range(?, ?) r(i)", (first, min(samples, first + BATCH)))
        db.execute("checkpoint")

    keys = [random.randrange(samples) for _ in range(GATHERED)]
    db.execute("create temp table wanted as select unnest(?::ubigint[]) as key", (keys,))
    gather = lambda: db.execute("select sum(timestamp), sum(label) from wanted join samples using (key)").fetchone()

    def look_up():
        start = random.randrange(samples)
        db.execute("select min(key), max(key) from samples where timestamp >= ? and timestamp < ?", (1000 * start, 1000 * (start + 1000))).fetchone()

    scan = lambda: db.execute("select sum(timestamp) from samples").fetchone()
    return figures(samples, append, scan, gather, look_up, file)


def main():
    name, folder, samples = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    print(json.dumps({"sqlite": sqlite, "duckdb": duckdb}[name](folder, samples)))


main()
