"""Output grammars: what comes out obeys them, and whoever has none notices nothing."""

import asyncio
import re
from pathlib import Path

import pytest
import torch
from tiny_models import MakeEngine, make_request, reference_model, tiny_mistral_folder
from tokenizers import AddedToken
from transformers import PreTrainedTokenizerFast

from deployments.generator.grammar import GrammarCompiler, GrammarError, RowMatchers
from deployments.generator.transformers_engine import TransformersEngine
from serve_app.contracts import Generation, TokenChunk
from serve_app.errors import GenerationFailed, InvalidRequest, OutputTooLong

LETTERS = "start: /[abc]{3,5}/"
WORDS = 'start: ("one" | "two" | "three" list) "."\nlist: " " ("four" | "five")'
WORDS_OUTPUT = re.compile(r"(one|two|three (four|five))\.")
WAYS = {
    "greedy": {},
    "beams": {"candidates": 5},
    "sampled": {"candidates": 5, "temperature": 1.8, "top_p": 1.0, "top_k": 0, "seed": 3},
}


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast.from_pretrained(tiny_mistral_folder())


@pytest.fixture
def compiler(tokenizer: PreTrainedTokenizerFast) -> GrammarCompiler:
    return GrammarCompiler(tokenizer.backend_tokenizer, 400, frozenset({tokenizer.eos_token_id}))


def allowed(matchers: RowMatchers, rows: int = 1) -> list[set[int]]:
    logprobs = torch.zeros(rows, 400)
    matchers.forbid(logprobs)
    return [set(torch.nonzero(row == 0).flatten().tolist()) for row in logprobs]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("prompt", ["weights", "a", "how much of it"])
async def test_every_output_is_whole_and_of_the_grammar(
    engine: TransformersEngine, way: str, prompt: str
) -> None:
    for grammar, pattern in ((LETTERS, re.compile("[abc]{3,5}")), (WORDS, WORDS_OUTPUT)):
        generation = await engine.submit(make_request(prompt, grammar=grammar, **WAYS[way]))
        for text in generation.texts:
            assert pattern.fullmatch(text.text), text.text
            assert text.finish_reason == "stop"


async def test_beams_fork_their_state_and_keep_the_model_s_own_scores(
    engine: TransformersEngine, tokenizer: PreTrainedTokenizerFast
) -> None:
    """Every output of a small language is found, and scored as the model scores it without a grammar."""
    grammar = 'start: ("b" | "c") ("b" | "c") ("b" | "c")'
    generation = await engine.submit(make_request("weights", grammar=grammar, candidates=8))
    assert {text.text for text in generation.texts} == {
        f"{a}{b}{c}" for a in "bc" for b in "bc" for c in "bc"
    }
    prompt = tokenizer("weights")["input_ids"]
    for text in generation.texts:
        assert text.token_count == 4
        output = [*(tokenizer.convert_tokens_to_ids(letter) for letter in text.text), tokenizer.eos_token_id]
        logits = reference_model(tiny_mistral_folder())(torch.tensor([prompt + output])).logits[0]
        scores = torch.log_softmax(logits[len(prompt) - 1 : -1], dim=-1)
        expected = scores[range(4), output].mean().item()
        assert text.mean_logprob == pytest.approx(expected, abs=1e-4)


async def test_requests_with_and_without_grammars_share_batches(engine: TransformersEngine) -> None:
    alone = await engine.submit(make_request("weights"))
    requests = [
        make_request("weights", request_id="free"),
        make_request("weights", request_id="letters", grammar=LETTERS, **WAYS["beams"]),
        make_request("how much", request_id="words", grammar=WORDS, **WAYS["sampled"]),
        make_request("a", request_id="late", grammar=WORDS),
    ]
    free, letters, words, late = await asyncio.gather(*map(engine.submit, requests))
    assert free.batch_size > 1
    assert free.texts[0].text == alone.texts[0].text
    assert all(re.fullmatch("[abc]{3,5}", text.text) for text in letters.texts)
    assert all(WORDS_OUTPUT.fullmatch(text.text) for text in (*words.texts, *late.texts))


async def test_a_stream_is_of_the_grammar(engine: TransformersEngine) -> None:
    pieces = [piece async for piece in engine.stream(make_request("weights", grammar=WORDS))]
    assert isinstance(pieces[-1], Generation)
    streamed = "".join(piece.text for piece in pieces if isinstance(piece, TokenChunk))
    assert streamed == pieces[-1].texts[0].text
    assert WORDS_OUTPUT.fullmatch(streamed)


@pytest.mark.parametrize("way", WAYS)
async def test_what_was_cut_off_is_no_answer(engine: TransformersEngine, way: str) -> None:
    with pytest.raises(OutputTooLong):
        await engine.submit(make_request("weights", grammar="start: /b{90}/", **WAYS[way]))
    assert (await engine.submit(make_request("weights"))).texts[0].token_count == 12


async def test_what_is_whole_is_answered_beside_what_was_cut_off(engine: TransformersEngine) -> None:
    generation = await engine.submit(make_request("weights", grammar='start: "b" | /c{90}/', candidates=4))
    assert [text.text for text in generation.texts] == ["b"]


async def test_a_failing_grammar_fails_its_own_request(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = engine._grammars.matchers

    def failing(grammar: str) -> RowMatchers:
        matchers = start(grammar)
        if grammar == LETTERS:

            def fail(_: object) -> None:
                raise GrammarError("too complex")

            matchers.follow = fail  # type: ignore[method-assign]
        return matchers

    monkeypatch.setattr(engine._grammars, "matchers", failing)
    free = asyncio.create_task(engine.submit(make_request("weights", request_id="free")))
    bound = asyncio.create_task(engine.submit(make_request("weights", request_id="bound", grammar=WORDS)))
    with pytest.raises(GenerationFailed) as failure:
        await engine.submit(make_request("weights", request_id="failing", grammar=LETTERS))
    assert "too complex" in str(failure.value.detail)
    assert (await free).texts[0].token_count == 12
    assert WORDS_OUTPUT.fullmatch((await bound).texts[0].text)


@pytest.mark.parametrize("grammar", ["start: nowhere", "no grammar", "start: (", ""])
async def test_a_wrong_grammar_is_refused(engine: TransformersEngine, grammar: str) -> None:
    with pytest.raises(InvalidRequest, match="output grammar"):
        await engine.submit(make_request("weights", grammar=grammar))
    assert (await engine.health()).ok


async def test_a_grammar_says_itself_where_an_output_ends(engine: TransformersEngine) -> None:
    with pytest.raises(InvalidRequest, match="stop"):
        await engine.submit(make_request("weights", grammar=WORDS, stop=("two",)))


async def test_the_start_of_a_grammar_is_not_moved_by_who_uses_it(make_engine: MakeEngine) -> None:
    engine = make_engine()
    request = make_request("weights", grammar=LETTERS, candidates=3)
    first, second = await engine.submit(request), await engine.submit(request)
    assert [text.text for text in first.texts] == [text.text for text in second.texts]
    assert len(engine._grammars._compiled) == 1


def test_a_token_outside_of_the_grammar_is_an_error(
    compiler: GrammarCompiler, tokenizer: PreTrainedTokenizerFast
) -> None:
    matchers = compiler.matchers('start: "b"')
    with pytest.raises(GrammarError):
        matchers.follow([(0, tokenizer.convert_tokens_to_ids("c"))])


def test_forks_move_apart(compiler: GrammarCompiler, tokenizer: PreTrainedTokenizerFast) -> None:
    b, c = tokenizer.convert_tokens_to_ids(["b", "c"])
    matchers = compiler.matchers('start: "b" "b" | "c" "c" | "b" "c"')
    assert allowed(matchers) == [{b, c}]
    matchers.follow([(0, c), (0, b), (0, b)])
    assert allowed(matchers, 3) == [{c}, {b, c}, {b, c}]
    matchers.follow([(2, c), (0, c), (1, b)])
    assert allowed(matchers, 3) == [{tokenizer.eos_token_id}] * 3


def test_padding_of_the_vocabulary_is_never_allowed(
    compiler: GrammarCompiler, tokenizer: PreTrainedTokenizerFast
) -> None:
    assert len(tokenizer) < 400
    found = allowed(compiler.matchers("start: /(.|\\n)*/"))[0]
    assert max(found) < len(tokenizer)
    assert not found & {tokenizer.bos_token_id, tokenizer.convert_tokens_to_ids("[INST]")}


def test_a_literal_that_is_a_word_of_the_tokenizer_is_that_token(tmp_path: Path) -> None:
    words = ["<limit>", "<a.b='c d'>", "<then>"]
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tiny_mistral_folder())
    tokenizer.add_tokens([AddedToken(word, normalized=False) for word in words])
    limit, value, then = tokenizer.convert_tokens_to_ids(words)
    compiler = GrammarCompiler(tokenizer.backend_tokenizer, 400, frozenset({tokenizer.eos_token_id}))
    matchers = compiler.matchers(f'// "<limit>"\nstart: "<limit>" | "{words[1]}" /"<then>"/ | "<limit>"i')
    found = allowed(matchers)[0]
    assert {limit, value} <= found
    assert then not in found
    # Without regard to case it is a text like any other, spelled out.
    assert tokenizer.convert_tokens_to_ids("<") in found
    assert (
        tokenizer.convert_tokens_to_ids("<")
        not in allowed(compiler.matchers('start: "<limit>" | "<then>"'))[0]
    )


def test_choices_between_words_may_overlap() -> None:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tiny_mistral_folder())
    tokenizer.add_tokens([AddedToken(f"<{word}>", normalized=False) for word in "abcd"])
    a, b, c, d = tokenizer.convert_tokens_to_ids([f"<{word}>" for word in "abcd"])
    compiler = GrammarCompiler(tokenizer.backend_tokenizer, 400, frozenset({tokenizer.eos_token_id}))
    grammar = 'start: ("<a>" | "<b>" | "<c>") "<a>" | ("<b>" | "<c>") "<d>" | "<c>" ("<b>")+'
    after = {}
    for token in (a, b, c):
        matchers = compiler.matchers(grammar)
        assert allowed(matchers) == [{a, b, c}]
        matchers.follow([(0, token)])
        after[token] = allowed(matchers)[0]
    assert after == {a: {a}, b: {a, d}, c: {a, d, b}}
