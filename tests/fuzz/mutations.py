"""Changes to statements that keep them close to something a validator might let through.

Each mutation is a small function of a random source, a statement and another one to take pieces from.
"""

import re
from collections.abc import Callable, Sequence
from random import Random

# Rough tokens: good enough to cut at, wrong on purpose where lexers differ.
_TOKEN = re.compile(r"\s+|\w+|'(?:[^']|'')*'|\"[^\"]*\"|--[^\n]*|/\*.*?\*/|::|[<>=!|&#@~^]+|.", re.S)
_WORD = re.compile(r"[A-Za-z_]\w*")
_LITERAL = re.compile(r"'(?:[^']|'')*'|\b\d+(?:\.\d+)?\b")
_ALLOWED = re.compile(r"\b(projects|labor|vendors|expenses|materials|cashflow|documents|organizations)\b")
_COLUMN = re.compile(r"\b(hours|trade|id|name|amount|budget|city|status)\b")

BLANKS = (
    " ",
    "\n",
    "\t",
    "\r",
    "\f",
    "\v",
    "\u00a0",
    "\u2003",
    "\u3000",
    "\u0085",
    "\u200b",
    "\ufeff",
    "\x00",
)
COMMENTS = ("/**/", "--\n", "/* x */", "/*/**/*/", "/*", "*/", "--", "#", "-- '\n", "/*'*/", "--\r")
SPLICES = (
    *(
        ";",
        "'",
        '"',
        ",",
        "(",
        ")",
        "\\",
        "$$",
        "$a$",
        "$1",
        "@",
        "?",
        ":x",
        "::",
        ".",
        "*",
        "U&",
        "E'",
        "N'",
    ),
    *("X'1F'", "B'01'", " AS ", " FROM ", " UNION SELECT ", " INTO x ", " FOR UPDATE", " NATURAL ", " ONLY "),
    *(
        " LATERAL ",
        " TABLESAMPLE SYSTEM (1)",
        " ORDER BY 1 USING <",
        "WITH x AS (DELETE FROM labor) ",
        "TABLE ",
    ),
    *(
        " OPERATOR(public.#+#) ",
        " #+# ",
        "::regclass",
        "::app_users",
        "::oid",
        "::text",
        "[1]",
        ".*",
        ".ctid",
    ),
    *(' COLLATE "C"', " IS DOCUMENT", " AT TIME ZONE 'UTC'", " ISNULL", " OVER ()", " WITH ORDINALITY"),
    *("app_users", "hr.salaries", "pg_class", "pg_catalog.", "public.", "hourly_rate", "worker_name", "l.*"),
    *("secret_lookup(1)", "pg_sleep(0)", "wage(l)", "current_user", "set_config('a.b','c',true)", "xmin"),
    *("#--'\n", "E'\\''", "'\\'", "-@", "@ 1.", "<>", "!=", "~", "^", "%s", "{0}", "\ud800", "é", "а", "ﬁ"),
)
FORBIDDEN_TABLES = (
    "app_users",
    "hr.salaries",
    "v_user_emails",
    "pg_class",
    "audit.events",
    "pg_roles",
    "labor",
)
FORBIDDEN_COLUMNS = (
    "hourly_rate",
    "worker_name",
    "ctid",
    "xmin",
    "tableoid",
    "password_hash",
    "l",
    "labor",
    "*",
)
LITERAL_FORMS: tuple[Callable[[str], str], ...] = (
    lambda body: f"E'{body}'",
    lambda body: f"$${body}$$",
    lambda body: f"$a${body}$a$",
    lambda body: f"U&'{body}'",
    lambda body: f"N'{body}'",
    lambda body: f"'{body[:2]}'\n'{body[2:]}'",
    lambda body: f"'{body}\\'",
    lambda body: f"('{body}')",
    lambda body: f"CAST('{body}' AS text)",
    lambda body: f"text '{body}'",
    lambda body: f"'{body}'::varchar",
    lambda body: f'"{body}"',
    lambda body: "'app_users'::regclass",
)
_LOOKALIKES = str.maketrans({"a": "а", "e": "е", "o": "о", "p": "р", "c": "с", "i": "і"})

Mutation = Callable[[Random, str, str], str]


def _one(random: Random, choices: Sequence[str]) -> str:
    return choices[int(random.random() * len(choices))]


def _tokens(text: str) -> list[str]:
    return _TOKEN.findall(text)


def _place(random: Random, size: int) -> int:
    return int(random.random() * (size + 1))


def splice(random: Random, sql: str, other: str) -> str:
    """A piece between two tokens."""
    tokens = _tokens(sql)
    tokens.insert(_place(random, len(tokens)), _one(random, SPLICES))
    return "".join(tokens)


def splice_raw(random: Random, sql: str, other: str) -> str:
    """A piece anywhere, in the middle of literals too."""
    place = _place(random, len(sql))
    return sql[:place] + _one(random, SPLICES) + sql[place + random.choice((0, 0, 1, 3)) :]


def blank(random: Random, sql: str, other: str) -> str:
    tokens = _tokens(sql)
    tokens.insert(_place(random, len(tokens)), _one(random, BLANKS))
    return "".join(tokens)


def comment(random: Random, sql: str, other: str) -> str:
    tokens = _tokens(sql)
    tokens.insert(_place(random, len(tokens)), _one(random, COMMENTS))
    return "".join(tokens)


def drop(random: Random, sql: str, other: str) -> str:
    tokens = _tokens(sql)
    start = _place(random, len(tokens))
    del tokens[start : start + random.choice((1, 1, 2, 4))]
    return "".join(tokens)


def swap(random: Random, sql: str, other: str) -> str:
    tokens = _tokens(sql)
    if len(tokens) < 2:
        return sql
    left, right = (int(random.random() * len(tokens)) for _ in range(2))
    tokens[left], tokens[right] = tokens[right], tokens[left]
    return "".join(tokens)


def transplant(random: Random, sql: str, other: str) -> str:
    """Some tokens of another statement in place of some of this one's."""
    tokens, theirs = _tokens(sql), _tokens(other)
    start, cut = _place(random, len(tokens)), _place(random, len(theirs))
    tokens[start : start + random.choice((0, 1, 2, 5))] = theirs[cut : cut + random.choice((1, 2, 4, 8, 20))]
    return "".join(tokens)


def letters(random: Random, sql: str, other: str) -> str:
    """Words in another case."""
    change = random.choice((str.upper, str.lower, str.title, str.swapcase))
    return _WORD.sub(lambda m: change(m[0]) if random.random() < 0.5 else m[0], sql)


def quoting(random: Random, sql: str, other: str) -> str:
    return _WORD.sub(lambda m: f'"{m[0]}"' if random.random() < 0.15 else m[0], sql)


def lookalike(random: Random, sql: str, other: str) -> str:
    return _WORD.sub(lambda m: m[0].translate(_LOOKALIKES) if random.random() < 0.1 else m[0], sql)


def literal_form(random: Random, sql: str, other: str) -> str:
    form = LITERAL_FORMS[int(random.random() * len(LITERAL_FORMS))]
    return _LITERAL.sub(lambda m: form(m[0].strip("'")) if random.random() < 0.4 else m[0], sql)


def other_table(random: Random, sql: str, other: str) -> str:
    return _ALLOWED.sub(lambda m: _one(random, FORBIDDEN_TABLES) if random.random() < 0.4 else m[0], sql)


def other_column(random: Random, sql: str, other: str) -> str:
    return _COLUMN.sub(lambda m: _one(random, FORBIDDEN_COLUMNS) if random.random() < 0.3 else m[0], sql)


def subquery(random: Random, sql: str, other: str) -> str:
    """The other statement nested in place of a token."""
    tokens = _tokens(sql)
    place = _place(random, len(tokens) - 1)
    tokens[place : place + 1] = [
        random.choice((f"({other})", f"EXISTS ({other})", f"ARRAY({other})", f"({other}) AS z"))
    ]
    return "".join(tokens)


def wrap(random: Random, sql: str, other: str) -> str:
    return random.choice(
        (
            f"SELECT * FROM ({sql}) AS w",
            f"WITH w AS ({sql}) SELECT * FROM w",
            f"WITH app_users AS ({other}) {sql}",
            f"WITH RECURSIVE labor AS ({sql} UNION ALL {other}) SELECT * FROM labor",
            f"SELECT w FROM ({sql}) AS w",
            f"SELECT count(*) FROM ({sql}) AS w",
            f"({sql}) UNION ALL ({other})",
            f"{sql}; {other}",
            f"EXPLAIN {sql}",
            f"SELECT name FROM projects WHERE id IN ({sql})",
            f"SELECT name, ({sql}) FROM projects",
            f"SELECT name FROM projects LIMIT ({sql})",
        )
    )


def double(random: Random, sql: str, other: str) -> str:
    """A stretch repeated many times: depth and length."""
    tokens = _tokens(sql)
    start = _place(random, len(tokens))
    stretch = "".join(tokens[start : start + random.choice((1, 2, 4))])
    tokens.insert(start, stretch * random.choice((1, 1, 2, 2, 3, 8, 8, 40, 40, 400)))
    return "".join(tokens)


MUTATIONS: tuple[Mutation, ...] = (
    splice,
    splice,
    splice_raw,
    blank,
    comment,
    drop,
    swap,
    transplant,
    transplant,
    letters,
    quoting,
    lookalike,
    literal_form,
    other_table,
    other_column,
    other_column,
    subquery,
    wrap,
    double,
)


def mutate(random: Random, sql: str, other: str) -> str:
    """One to three mutations; mostly one, so that what comes out is often still a statement."""
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        sql = MUTATIONS[int(random.random() * len(MUTATIONS))](random, sql, other)
    return sql
