"""Property 03: from any output that holds a valid SELECT, exactly that SELECT comes out."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from deployments.sql_validator.extraction import extract_sql
from deployments.sql_validator.grammar import GrammarError, Source, parse

pytestmark = pytest.mark.property

HARD_TEXT = st.lists(
    st.sampled_from(
        [
            "```",
            ";",
            "select",
            "SELECT 1",
            "''",
            " ",
            "\n",
            "-- x",
            "/*",
            "*/",
            "it",
            "`",
            '"',
            "$$",
            "é",
            "\\",
            ".",
            "\n\n",
        ]
    ),
    max_size=6,
).map("".join)

NAMES = st.sampled_from(["name", "budget", "p.id", '"Project Name"', '"a;b"', '"```"', "city"])
VALUES = st.one_of(
    NAMES,
    st.integers(0, 9999).map(str),
    HARD_TEXT.map(lambda text: f"'{text}'"),
    NAMES.map(lambda name: f"MAX({name})"),
)
BLANKS = st.sampled_from([" ", "\n", "\n  ", " /* a; ``` select */ ", " -- it's; ``` \n"])


@st.composite
def selects(draw: st.DrawFn, depth: int = 2) -> str:
    """Valid SELECTs of many shapes; literals, names and comments hold what ends a statement elsewhere."""
    blank = draw(BLANKS)
    parts = ["SELECT", ", ".join(draw(st.lists(VALUES, min_size=1, max_size=3)))]
    if draw(st.booleans()):
        source = "projects p"
        if depth and draw(st.booleans()):
            source = f"({draw(selects(depth - 1))}) AS q"
        parts.append(f"FROM {source}")
        if draw(st.booleans()):
            parts.append(f"WHERE {draw(VALUES)} = {draw(VALUES)}")
        if draw(st.booleans()):
            parts.append(f"ORDER BY {draw(st.integers(1, 3))} LIMIT 5")
    sql = blank.join(parts)
    if depth and draw(st.integers(0, 4)) == 0:
        sql = f"{sql}{draw(BLANKS)}UNION ALL{draw(BLANKS)}{draw(selects(depth - 1))}"
    if depth and draw(st.integers(0, 3)) == 0:
        sql = f"WITH c AS ({draw(selects(depth - 1))}){draw(BLANKS)}{sql}"
    return sql


WORDS = [
    "that",
    "we",
    "select",
    "with",
    "from",
    "the",
    "it's",
    "query",
    "table",
    "update",
    "rows;",
    "e.g.",
    "don't",
]
PROSE = st.lists(st.sampled_from(WORDS), min_size=1, max_size=8).map(
    lambda words: "Here " + " ".join(words) + " you see"
)


@st.composite
def wrapped(draw: st.DrawFn, sql: str) -> str:
    """An output that holds ``sql`` the way models write it."""
    before, after = draw(PROSE), draw(PROSE)
    end = draw(st.sampled_from(["", ";", " ;", ";\n"]))
    language = draw(st.sampled_from(["", "sql", "SQL", "postgresql"]))
    return draw(
        st.sampled_from(
            [
                f"{sql}{end}",
                f"\n\n  {sql}{end}\n",
                f"```{language}\n{sql}{end}\n```",
                f"{before}:\n\n```{language}\n{sql}{end}\n```\n\n{after}.",
                f"{before}.\n```{language}\n{sql}{end}",
                f"{before}:\n{sql};\n{after}.",
                f"{before}: {sql}; {after}.",
                f"{before}:\n{sql}",
                f"<sql>{sql}{end}</sql>",
            ]
        )
    )


def is_select(sql: str) -> bool:
    try:
        tree, _ = parse(Source(sql))
    except GrammarError:
        return False
    return [s.stmt.WhichOneof("node") for s in tree.stmts] == ["select_stmt"]


@given(st.data())
@settings(max_examples=400, deadline=None)
def test_exactly_the_select_of_an_output_comes_out(data: st.DataObject) -> None:
    sql = data.draw(selects())
    assume(is_select(sql))
    output = data.draw(wrapped(sql))
    assert extract_sql(output) == sql


@given(
    st.text(max_size=400)
    | st.lists(st.sampled_from(["select", "from", "```", "'", ";", "(", "x", "\n", "$$"])).map(" ".join)
)
@settings(max_examples=200, deadline=None)
def test_any_text_gives_a_part_of_itself_or_nothing(text: str) -> None:
    found = extract_sql(text)
    assert found is None or all(part.strip() in text for part in found.split(";"))
