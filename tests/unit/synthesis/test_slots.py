from deployments.prompt_builder.synthesis.slots import Slot, SlotTable, extract


def test_extract_says_where_each_slot_stands() -> None:
    slots = SlotTable()
    first = slots.mark(slots.add(Slot("N", "five", "5")))
    second = slots.mark(slots.add(Slot("D", "last month")))

    found = extract(f"top {first} rows {second}?")

    assert found.text == "top five rows last month?"
    assert {i: found.text[a:b] for i, (a, b) in found.spans.items()} == {0: "five", 1: "last month"}


def test_a_slot_said_twice_counts_where_it_is_said_first() -> None:
    slots = SlotTable()
    mark = slots.mark(slots.add(Slot("N", "1k", "1000")))

    assert extract(f"under {mark}, {mark} and up").spans == {0: (6, 8)}
