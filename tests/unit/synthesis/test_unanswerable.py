import random

from deployments.prompt_builder.query_spec.nodes import Cannot
from deployments.prompt_builder.query_spec.tokens import encode
from deployments.prompt_builder.synthesis.synthesizer import Synthesizer


def test_requests_without_an_answer_say_so(synthesizer: Synthesizer) -> None:
    examples = [synthesizer.unanswerable(random.Random(i)) for i in range(120)]

    assert len({e.question for e in examples}) > 90
    assert all(e.spec == Cannot() for e in examples)
    assert encode(Cannot(), synthesizer.context) == "<cannot>"


def test_some_name_stored_things(library: Synthesizer) -> None:
    linked = [library.unanswerable(random.Random(i)).linked for i in range(200)]

    assert 20 < sum(any(k.placeholder[0] == "V" for k in one.links) for one in linked) < 180


def test_a_schema_without_names_has_requests_too(library: Synthesizer) -> None:
    tables = {
        name: terms.model_copy(
            update={"columns": {c: t for c, t in terms.columns.items() if t.role != "name"}, "label": None}
        )
        for name, terms in library.pack.tables.items()
    }
    nameless = Synthesizer(library.folder, library.schema, library.pack.model_copy(update={"tables": tables}))

    assert all(nameless.unanswerable(random.Random(i)).question for i in range(100))
