"""Runs the SQL statements of its standard input on a SQLite database, all of them or none.

Usage: sqlite.py DATABASE
"""

import sqlite3
import sys

with sqlite3.connect(sys.argv[1], timeout=20) as database:
    for statement in sys.stdin.read().split(";"):
        database.execute(statement)
