from deployments.prompt_builder.query_spec.nodes import ColumnRef, Compare, InDates, Placeholder, QuerySpec
from deployments.prompt_builder.synthesis.alignment import Mismatch, align, renamed
from deployments.prompt_builder.synthesis.slots import Slot, SlotTable, extract
from serve_app.contracts import Candidate, DateRange, Link

_ANY_DATES = DateRange(start_sql="CURRENT_DATE", end_sql=None)


def _number_link(name: str, text: str, start: int, number: str) -> Link:
    return Link(placeholder=name, span=(start, start + len(text)), text=text, number=number)


def _spec(*conditions: Compare | InDates) -> QuerySpec:
    return QuerySpec("books", where=conditions)


def test_slots_take_the_linkers_names_whatever_their_order() -> None:
    slots = SlotTable()
    low, high = slots.add(Slot("N", "5", "5")), slots.add(Slot("N", "9", "9"))
    said = extract(f"under {slots.mark(high)} but over {slots.mark(low)}")
    price = ColumnRef("books", "price")
    spec = _spec(Compare(">", price, low), Compare("<", price, high))
    links = (_number_link("N0", "9", 6, "9"), _number_link("N1", "5", 17, "5"))

    names = align(spec, slots.slots, said, links)

    assert names == {"S0": "N1", "S1": "N0"}
    assert renamed(spec, names) == _spec(
        Compare(">", price, Placeholder("N1")), Compare("<", price, Placeholder("N0"))
    )


def test_another_value_is_a_mismatch() -> None:
    slots = SlotTable()
    mark = slots.add(Slot("N", "10k", "10000"))
    said = extract(f"over {slots.mark(mark)}")
    spec = _spec(Compare(">", ColumnRef("books", "price"), mark))

    assert align(spec, slots.slots, said, (_number_link("N0", "10k", 5, "10"),)) == Mismatch(
        "N", "other value"
    )
    assert align(spec, slots.slots, said, ()) == Mismatch("N", "unlinked")


def test_a_date_must_be_linked_whole() -> None:
    slots = SlotTable()
    mark = slots.add(Slot("D", "since last March"))
    said = extract(f"books {slots.mark(mark)}")
    spec = _spec(InDates(ColumnRef("books", "bought_on"), mark))
    whole = Link(placeholder="D0", span=(6, 22), text="since last March", dates=_ANY_DATES)
    part = Link(placeholder="D0", span=(17, 22), text="March", dates=_ANY_DATES)

    assert align(spec, slots.slots, said, (whole,)) == {"S0": "D0"}
    assert align(spec, slots.slots, said, (part,)) == Mismatch("D", "partly linked")


def test_a_name_must_be_among_the_candidates() -> None:
    slots = SlotTable()
    mark = slots.add(Slot("V", "harbour", "Harbour Branch", "branches", "name"))
    said = extract(slots.mark(mark))
    spec = _spec(Compare("=", ColumnRef("branches", "name"), mark))

    def link(value: str) -> Link:
        found = Candidate(table="branches", column="name", value=value, score=1.0)
        return Link(placeholder="V0", span=(0, 7), text="harbour", candidates=(found,))

    assert align(spec, slots.slots, said, (link("Harbour Branch"),)) == {"S0": "V0"}
    assert align(spec, slots.slots, said, (link("Old Mill Branch"),)) == Mismatch("V", "other value")


def test_slots_that_the_specification_does_not_use_need_not_be_said() -> None:
    slots = SlotTable()
    slots.add(Slot("N", "5", "5"))

    assert align(_spec(), slots.slots, extract("books"), ()) == {}
