"""Long values of each type for `bench_interrupts`, and the calls that PostgreSQL's catalog does not list."""

import re
from pathlib import Path

# Each is the worst case of some algorithm. Computed, not stored: a stored one would be unpacked at each look.
VALUES = {
    "a": "repeat('a', 400000)",
    "ab": "repeat('a', 200000) || 'b'",
    "ba": "'b' || repeat('a', 200000)",
    "bs": "repeat('b', 200000) || 'a'",
    "pattern": "'%' || repeat('a', 100000) || 'b%'",
    "wild": "repeat('%a', 100000) || 'b'",
    "regex": "repeat('(a|b)*', 20000)",
    "alternatives": "'(' || repeat('a|', 100000) || 'b)'",
    "commas": "repeat('a,', 200000)",
    "digits": "repeat('9', 131000)",
    "format": "repeat('FM9990.00 YYYY-MM-DD ', 20000)",
    "nested": "repeat('[', 5000) || repeat(']', 5000)",
    "json": "'[' || repeat('1,', 100000) || '1]'",
    "n": "repeat('9', 131000)::numeric",
    "m": "(repeat('7', 65000) || '.' || repeat('3', 16000))::numeric",
    "fraction": "('0.' || repeat('3', 16000))::numeric",
    "i1": "ARRAY(SELECT i FROM generate_series(1, 150000) i)",
    "i2": "ARRAY(SELECT -i FROM generate_series(1, 150000) i)",
    "t1": "ARRAY(SELECT i::text FROM generate_series(1, 150000) i)",
    "t2": "ARRAY(SELECT (-i)::text FROM generate_series(1, 150000) i)",
    "zeros": "ARRAY(SELECT '0'::text FROM generate_series(1, 100000) i)",
    "j1": "(SELECT jsonb_agg(i) FROM generate_series(1, 100000) i)",
    "j2": "(SELECT jsonb_agg(i::text) FROM generate_series(1, 100000) i)",
    "j3": "(SELECT jsonb_agg((-i)::text) FROM generate_series(1, 100000) i)",
    "o": "(SELECT jsonb_object_agg(i, i) FROM generate_series(1, 100000) i)",
    "deep": "(repeat('[', 5000) || repeat(']', 5000))::jsonb",
}
_WORD = re.compile(r"(?<!')\b[a-z]+[0-9]?\b(?!\()")


def source(sql: str) -> str:
    """A FROM item that computes the values named in an expression, once."""
    names = sorted(set(_WORD.findall(sql)) & VALUES.keys())
    columns = ", ".join(f"{VALUES[name]} AS {name}" for name in names) or "1"
    return f"(SELECT {columns} OFFSET 0) AS adversaries"


# By group of types. The first ones are tried against each other before the number of combinations is reached.
ARGUMENTS: dict[str, tuple[str, ...]] = {
    "text": (
        "a",
        "ba",
        "ab",
        "bs",
        "pattern",
        "wild",
        "commas",
        "digits",
        "format",
        "'a'",
        "regex",
        "alternatives",
        "nested",
        "''",
        "json",
    ),
    "numeric": ("n", "m", "fraction", "1 / m", "16383.5", "2.5", "-n", "1e15", "1e-1000"),
    "integer": ("3", "2000000000", "-1", "100000", "-100000", "1"),
    "bigint": ("9000000000000000000", "3", "-1", "100000"),
    "smallint": ("3", "30000"),
    "double precision": ("1e300", "0.5", "-1e-300"),
    "boolean": ("true",),
    "json": ("json::json", "nested::json"),
    "jsonb": ("j1", "j2", "j3", "o", "deep"),
    "text[]": ("t1", "t2", "zeros"),
    "integer[]": ("i1", "i2"),
    "anyarray": ("i1", "i2", "t1", "t2", "zeros"),
    "anyelement": ("a", "n", "j1", "i1"),
    "date": ("date '2020-01-01'", "date '5874897-12-31'"),
    "time": ("time '10:00'",),
    "timestamp": ("timestamp '2020-01-01'", "timestamp '294276-12-31'"),
    "timestamptz": ("timestamptz '2020-01-01 00:00+00'",),
    "interval": ("interval '1 second'", "interval '170000000 years'"),
    "int4range": ("int4range(1, 2000000000)",),
    "numrange": ("numrange(m, n)", "numrange(-n, n)"),
    "daterange": ("daterange('2020-01-01', '2021-01-01')",),
}

_GROUPS = {
    "character varying": "text",
    "character": "text",
    "varchar": "text",
    "bpchar": "text",
    "name": "text",
    '"char"': "text",
    "unknown": "text",
    "any": "anyelement",
    '"any"': "anyelement",
    "anynonarray": "anyelement",
    "anycompatible": "anyelement",
    "anycompatiblenonarray": "anyelement",
    "anycompatiblearray": "anyarray",
    "float8": "double precision",
    "float4": "double precision",
    "real": "double precision",
    "int4": "integer",
    "int8": "bigint",
    "int2": "smallint",
    "bool": "boolean",
    "timestamp without time zone": "timestamp",
    "timestamp with time zone": "timestamptz",
    "time without time zone": "time",
    "time with time zone": "time",
    "timetz": "time",
    "anyrange": "numrange",
    "int8range": "int4range",
    "anyenum": "",
    "tsrange": "daterange",
}


def type_group(name: str) -> str:
    return _GROUPS.get(name, name)


# What the grammar calls without a name, aggregates, window functions, and hard cases of single functions.
FORMS = tuple(
    line
    for line in Path(__file__).with_name("forms.sql").read_text(encoding="utf-8").splitlines()
    if not line.startswith("--")
)
