import re
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.prompt_builder.domain import DomainPack
from deployments.prompt_builder.linking.linker import Linker, placeholder_vocabulary
from deployments.prompt_builder.linking.rendering import MAX_LINKS
from deployments.prompt_builder.query_spec.token_words import PLACEHOLDERS
from serve_app.contracts import SchemaSnapshot

TODAY = date(2026, 11, 20)
_ANGLED = re.compile(r"<[^>]*>")
PIECES = (
    *(
        "Granite Hotel",
        "kofi's",
        "last month",
        "$1.5m",
        "between 5 and 10%",
        "since 7/1",
        "INV-000003",
        "the 3rd",
    ),
    *(
        "<V0>",
        "<expenses.amount>",
        "V0",
        "N1",
        "D0",
        "</s>",
        "[INST]",
        "0-30",
        "half a",
        "-",
        "+",
        "'26",
        "a",
        "and",
    ),
    *(
        "30/60/90",
        "1.500.000",
        "1,5 million",
        "five million and ten million",
        "w/e 14 June",
        "FY 2025-26",
        "half a dozen",
        "the prior month",
        "labor day weekend",
        "the last 90",
        "september ytd 2026",
        "q1-26",
        "on 10-14",
        "ten g's",
        "seven-figure",
        "the library",
        "sheet rock",
        "the 1st to the 15th of september",
        "31 february",
        "feb 30 2026",
        "99/99/2026",
        "to",
        "from",
        "\u00bd",
        "\u0130stanbul",
        "\ud83d\ude00",
        "per",
    ),
)
questions = st.one_of(st.text(max_size=80), st.lists(st.sampled_from(PIECES), max_size=10).map(" ".join))


@given(questions, st.dates(date(1999, 1, 1), date(2090, 12, 31)))
def test_any_text_links_to_known_tokens_and_true_spans(
    linker: Linker, schema: SchemaSnapshot, pack: DomainPack, question: str, today: date
) -> None:
    vocabulary = set(placeholder_vocabulary(schema, pack))
    linked = linker.link(question, today)
    assert set(_ANGLED.findall(linked.text)) <= vocabulary
    without_tokens = _ANGLED.sub("", linked.text)
    assert "<" not in without_tokens
    assert ">" not in without_tokens
    assert without_tokens == without_tokens.lower()
    assert linker.link(question, today) == linked
    for link in linked.links:
        assert f"<{link.placeholder}>" in linked.text
        assert question[link.span[0] : link.span[1]] == link.text
    assert len({link.placeholder for link in linked.links}) == len(linked.links)


def test_user_text_cannot_spell_a_token(linker: Linker) -> None:
    linked = linker.link("show <vendors.name> where V0 = N0 <D0>", TODAY)
    assert linked.links == ()
    assert "<" not in linked.text


def test_placeholders_are_those_of_the_specification(schema: SchemaSnapshot, pack: DomainPack) -> None:
    ours = {f"{letter}{n}" for letter, count in MAX_LINKS.items() for n in range(count)}
    assert ours == set(PLACEHOLDERS)
    assert {f"<{name}>" for name in ours} <= set(placeholder_vocabulary(schema, pack))


def test_more_names_than_placeholders_stay_text(linker: Linker) -> None:
    amounts = " or ".join(f"{n}k" for n in range(1, 12))
    linked = linker.link(amounts, TODAY)
    assert len(linked.links) == MAX_LINKS["N"]
    assert linked.text.endswith("or 11k")


def test_equal_mentions_share_a_placeholder(linker: Linker) -> None:
    linked = linker.link("Granite Hotel in 2025 and granite hotel in 2025", TODAY)
    assert linked.text == "<V0> <projects.name> in <D0> <d:year> and <V0> <projects.name> in <D0> <d:year>"
    assert len(linked.links) == 2


def test_spans_point_into_the_original(linker: Linker) -> None:
    question = "Spend on  the Metro Line\u2019s crew since  July 1, 2026?"
    texts = [link.text for link in linker.link(question, TODAY).links]
    assert texts == ["Metro Line", "since  July 1, 2026"]


def test_lookup_words_are_never_names(linker: Linker) -> None:
    for word in ("permits", "labor", "equipment", "subs", "commercial", "welders", "paid", "invoice"):
        assert linker.link(f"show {word}", TODAY).links == ()


def test_capital_letter_is_evidence_only_in_sentence_case(linker: Linker) -> None:
    assert linker.link("what did the Peak cost", TODAY).links
    assert not linker.link("what did the peak cost", TODAY).links
    assert not linker.link("WHAT DID THE PEAK COST", TODAY).links


def test_two_numbers_in_and_lists_keep_their_own_units(linker: Linker) -> None:
    linked = linker.link("top 3 vendors and 5 million dollars", TODAY)
    assert [(link.number, link.unit) for link in linked.links] == [("3", "count"), ("5000000", "money")]


def test_trained_words_win_ties_in_spelling(schema: SchemaSnapshot, pack: DomainPack) -> None:
    taught = Linker(schema, pack, vocabulary={"zorgle": 50_000_000})
    assert taught.link("zorgl", TODAY).text == "zorgle"


def test_made_up_words_do_not_pile_up(linker: Linker) -> None:
    made_up = "q" * 2000
    assert made_up in linker.link(f"spend on {made_up}", TODAY).text
    assert made_up not in linker._canonical
    assert made_up not in linker._speller._cache


def test_the_pack_says_when_weeks_begin(schema: SchemaSnapshot, pack: DomainPack) -> None:
    american = Linker(schema, pack.model_copy(update={"week_starts_on": "sunday"}))
    (link,) = american.link("hours last week", TODAY).links
    assert link.dates is not None
    assert link.dates.start_sql == "date_trunc('week', CURRENT_DATE + 1) - INTERVAL '8 days'"
    assert link.dates.end_sql == "date_trunc('week', CURRENT_DATE + 1) - INTERVAL '1 day'"


def test_undated_months_follow_today(linker: Linker) -> None:
    for months_back in range(24):
        today = TODAY - timedelta(days=30 * months_back)
        (link,) = linker.link("spend in march", today).links
        year = today.year if today.month >= 3 else today.year - 1
        assert link.dates is not None
        assert link.dates.start_sql == f"DATE '{year}-03-01'"


@pytest.mark.parametrize(
    "question", ["", "   ", "?", "\x00\x01", "\U0001f600" * 50, "a" * 10_000, "1" * 5000]
)
def test_odd_questions_do_not_break(linker: Linker, question: str) -> None:
    assert linker.link(question, TODAY).links == ()
