"""The engine against the tiny model: the tokens of `generate`, alone and in company, and clean ends."""

import asyncio
import json
from pathlib import Path

import pytest
import torch
from tiny_models import (
    MakeEngine,
    make_request,
    make_tiny_mistral,
    reference_greedy,
    reference_model,
    tiny_mistral_folder,
    tiny_profile,
)
from transformers import PreTrainedTokenizerFast

from deployments.generator.transformers_engine import TransformersEngine
from serve_app.contracts import ChatTurn, Generation, GenerationRequest, TokenChunk
from serve_app.errors import (
    ConfigurationError,
    GenerationFailed,
    GenerationTimeout,
    InvalidRequest,
    ModelUnavailable,
    Overloaded,
)

PROMPTS = (
    "a",
    "weights and tokens",
    "how much",
    "the full size has the shape of a large model " * 3,
    "x y z",
)
LONG = {"max_new_tokens": 400, "timeout_s": 60.0}


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast.from_pretrained(tiny_mistral_folder())


def expected_text(tokenizer: PreTrainedTokenizerFast, prompt: str, max_new_tokens: int = 12) -> str:
    tokens = reference_greedy(tiny_mistral_folder(), tokenizer(prompt)["input_ids"], max_new_tokens)
    return tokenizer.decode(tokens, skip_special_tokens=True)


async def until(engine: TransformersEngine, **figures: int) -> None:
    """Wait until the engine's health shows these figures."""
    async with asyncio.timeout(20):
        while not figures.items() <= (await engine.health()).figures.items():  # noqa: ASYNC110
            await asyncio.sleep(0)


async def until_idle(engine: TransformersEngine) -> None:
    await until(engine, active_requests=0, queued_requests=0)


@pytest.mark.parametrize("prompt", PROMPTS)
async def test_greedy_output_is_that_of_generate(
    engine: TransformersEngine, tokenizer: PreTrainedTokenizerFast, prompt: str
) -> None:
    generation = await engine.submit(make_request(prompt))
    assert generation.texts[0].text == expected_text(tokenizer, prompt)
    assert generation.texts[0].token_count == 12
    assert generation.texts[0].finish_reason == "length"
    assert generation.prompt_tokens == len(tokenizer(prompt)["input_ids"])


async def test_parallel_requests_share_batches_and_equal_single_ones(
    engine: TransformersEngine, tokenizer: PreTrainedTokenizerFast
) -> None:
    requests = [
        make_request(f"{PROMPTS[i % 5]} {i}", request_id=str(i), max_new_tokens=3 + i % 7) for i in range(20)
    ]
    generations = await asyncio.gather(*map(engine.submit, requests))
    for request, generation in zip(requests, generations, strict=True):
        text = expected_text(tokenizer, str(request.text), request.params.max_new_tokens)
        assert generation.texts[0].text == text
    assert max(generation.batch_size for generation in generations) > 4


async def test_chat_turns_go_through_the_template(
    make_engine: MakeEngine, tokenizer: PreTrainedTokenizerFast
) -> None:
    engine = make_engine(tiny_profile(prompt_format="chat"))
    generation = await engine.submit(make_request(None, turns=(ChatTurn(role="user", content="hello"),)))
    prompt = tokenizer.apply_chat_template([{"role": "user", "content": "hello"}], tokenize=False)
    ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    expected = reference_greedy(tiny_mistral_folder(), ids, 12)
    assert generation.texts[0].text == tokenizer.decode(expected, skip_special_tokens=True)


async def test_end_token_stops_and_is_left_out(
    make_engine: MakeEngine, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    tokens = reference_greedy(tiny_mistral_folder(), tokenizer("how much")["input_ids"], 12)
    end = next(i for i in range(3, 12) if tokens[i] not in tokens[:i])
    folder = make_tiny_mistral(tmp_path / "model")
    settings = json.loads((folder / "generation_config.json").read_text())
    settings["eos_token_id"] = [tokenizer.eos_token_id, tokens[end]]
    (folder / "generation_config.json").write_text(json.dumps(settings))
    generation = await make_engine(tiny_profile(folder)).submit(make_request("how much"))
    assert generation.texts[0].finish_reason == "stop"
    assert generation.texts[0].token_count == end + 1
    assert generation.texts[0].text == tokenizer.decode(tokens[:end], skip_special_tokens=True)


async def test_stop_text_cuts_the_output(engine: TransformersEngine) -> None:
    whole = (await engine.submit(make_request("how much", max_new_tokens=30))).texts[0].text
    stop = whole[8:10]
    generation = await engine.submit(make_request("how much", max_new_tokens=30, stop=("never said", stop)))
    assert generation.texts[0].text == whole[: whole.index(stop)]
    assert generation.texts[0].finish_reason == "stop"
    assert generation.texts[0].token_count < 30


async def collected(engine: TransformersEngine, request: GenerationRequest) -> tuple[list[str], Generation]:
    pieces: list[str] = []
    async for piece in engine.stream(request):
        if isinstance(piece, Generation):
            return pieces, piece
        pieces.append(piece.text)
    raise AssertionError("the stream ended without a Generation")


@pytest.mark.parametrize(
    "changes", [{}, {"candidates": 4}, {"temperature": 1.0, "seed": 5}, {"stop": ("zz",)}]
)
async def test_streamed_pieces_add_up_to_the_text(
    engine: TransformersEngine, changes: dict[str, object]
) -> None:
    request = make_request("weights", max_new_tokens=40, **changes)
    pieces, generation = await collected(engine, request)
    assert "".join(pieces) == generation.texts[0].text
    assert (len(pieces) > 3) == (request.params.candidates == 1)
    assert generation == (await engine.submit(request)).model_copy(
        update={
            "queue_ms": generation.queue_ms,
            "inference_ms": generation.inference_ms,
            "memory": generation.memory,
        }
    )


async def test_closing_a_stream_ends_the_generation(engine: TransformersEngine) -> None:
    stream = engine.stream(make_request("weights", **LONG))
    assert isinstance(await anext(stream), TokenChunk)
    await stream.aclose()  # type: ignore[attr-defined]
    await until_idle(engine)


async def test_cancelling_the_task_ends_the_generation(engine: TransformersEngine) -> None:
    task = asyncio.create_task(engine.submit(make_request("weights", **LONG)))
    await until(engine, active_requests=1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until_idle(engine)


async def test_cancel_gives_what_there_was(engine: TransformersEngine) -> None:
    stream = engine.stream(make_request("weights", request_id="mine", **LONG))
    await anext(stream)
    assert await engine.cancel("mine")
    *_, generation = [piece async for piece in stream]
    assert isinstance(generation, Generation)
    assert generation.texts[0].finish_reason == "cancelled"
    assert 0 < generation.texts[0].token_count < 400
    assert not await engine.cancel("mine")


async def test_others_go_on_when_one_is_cancelled(
    engine: TransformersEngine, tokenizer: PreTrainedTokenizerFast
) -> None:
    others = [
        asyncio.create_task(engine.submit(make_request(p, request_id=p, max_new_tokens=60))) for p in PROMPTS
    ]
    doomed = asyncio.create_task(engine.submit(make_request("doomed", request_id="doomed", **LONG)))
    await until(engine, active_requests=len(PROMPTS) + 1)
    await engine.cancel("doomed")
    assert (await doomed).texts[0].finish_reason == "cancelled"
    for prompt, generation in zip(PROMPTS, await asyncio.gather(*others), strict=True):
        assert generation.texts[0].text == expected_text(tokenizer, prompt, 60)


async def test_cancel_of_a_waiting_request(make_engine: MakeEngine) -> None:
    engine = make_engine(max_batch_size=1)
    stream = engine.stream(make_request("first", request_id="first", **LONG))
    await anext(stream)
    waiting = asyncio.create_task(engine.submit(make_request("second", request_id="second")))
    await until(engine, queued_requests=1)
    assert await engine.cancel("second")
    generation = await waiting
    assert generation.texts[0].finish_reason == "cancelled"
    assert generation.texts[0].text == ""
    await stream.aclose()  # type: ignore[attr-defined]


async def test_timeout_frees_the_batch(engine: TransformersEngine) -> None:
    with pytest.raises(GenerationTimeout, match=r"more than 0\.01 s"):
        await engine.submit(make_request("weights", max_new_tokens=400, timeout_s=0.01))
    await until_idle(engine)
    assert (await engine.submit(make_request("weights"))).texts[0].token_count == 12


async def test_full_queue_refuses(make_engine: MakeEngine) -> None:
    engine = make_engine(max_batch_size=1, max_queued_requests=1)
    stream = engine.stream(make_request("first", **LONG))
    await anext(stream)
    second = asyncio.create_task(engine.submit(make_request("second")))
    await until(engine, queued_requests=1)
    with pytest.raises(Overloaded) as refusal:
        await engine.submit(make_request("third"))
    assert refusal.value.retry_after_s is not None
    assert refusal.value.retry_after_s >= 1
    await stream.aclose()  # type: ignore[attr-defined]
    assert (await second).texts[0].token_count == 12


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"text": None}, "either turns or text"),
        ({"turns": (ChatTurn(role="user", content="hello"),)}, "either turns or text"),
        ({"text": "   "}, "empty"),
        ({"text": "x " * 600}, "fit; shorten it"),
        ({"grammar": "start: 'a'"}, "grammar"),
        ({"candidates": 17}, "at most 16, got 17"),
        ({"stop": ("",)}, "stop text must not be empty"),
        ({"candidates": 16, "max_new_tokens": 500, "text": "x " * 100}, "ask for fewer"),
    ],
)
async def test_impossible_requests_are_refused(
    make_engine: MakeEngine, changes: dict[str, object], reason: str
) -> None:
    engine = make_engine(max_batch_tokens=4096)
    with pytest.raises(InvalidRequest, match=reason):
        await engine.submit(make_request(**{"text": "some text"} | changes))


async def test_output_ends_at_the_context_limit(make_engine: MakeEngine) -> None:
    engine = make_engine(tiny_profile(context_tokens=20))
    generation = await engine.submit(make_request("how much", max_new_tokens=500))
    assert generation.prompt_tokens + generation.texts[0].token_count == 20
    assert generation.texts[0].finish_reason == "length"


async def test_beams_are_those_of_generate(
    engine: TransformersEngine, tokenizer: PreTrainedTokenizerFast
) -> None:
    ids = tokenizer("how much")["input_ids"]
    reference = reference_model(tiny_mistral_folder()).generate(
        torch.tensor([ids]),
        num_beams=5,
        num_return_sequences=5,
        max_new_tokens=6,
        length_penalty=0.0,
        do_sample=False,
        output_scores=True,
        return_dict_in_generate=True,
    )
    generation = await engine.submit(make_request("how much", candidates=5, max_new_tokens=6))
    expected = tokenizer.batch_decode(reference.sequences[:, len(ids) :], skip_special_tokens=True)
    assert [text.text for text in generation.texts] == expected
    totals = [text.mean_logprob * text.token_count for text in generation.texts if text.mean_logprob]
    assert totals == pytest.approx(reference.sequences_scores.tolist(), abs=1e-4)


async def test_beams_in_company_equal_beams_alone(engine: TransformersEngine) -> None:
    requests = [make_request(p, request_id=p, candidates=1 + i) for i, p in enumerate(PROMPTS)]
    alone = [await engine.submit(request) for request in requests]
    together = await asyncio.gather(*map(engine.submit, requests))
    assert [[t.text for t in g.texts] for g in together] == [[t.text for t in g.texts] for g in alone]


async def test_a_seed_fixes_a_sample_whatever_the_company(engine: TransformersEngine) -> None:
    def request(seed: int) -> GenerationRequest:
        return make_request("weights", request_id=str(seed), temperature=1.0, seed=seed, candidates=2)

    alone = [await engine.submit(request(seed)) for seed in range(6)]
    together = await asyncio.gather(*(engine.submit(request(seed)) for seed in range(6)))
    texts = [[t.text for t in g.texts] for g in alone]
    assert [[t.text for t in g.texts] for g in together] == texts
    assert len({text for pair in texts for text in pair}) > 6


async def test_candidates_come_best_first(engine: TransformersEngine) -> None:
    generation = await engine.submit(make_request("weights", temperature=1.0, seed=1, candidates=6))
    scores = [text.mean_logprob * text.token_count for text in generation.texts if text.mean_logprob]
    assert len(scores) == 6
    assert scores == sorted(scores, reverse=True)
    assert all(
        t.min_logprob is not None and t.min_logprob <= t.mean_logprob
        for t in generation.texts
        if t.mean_logprob
    )


async def test_logprobs_are_those_of_the_model(
    engine: TransformersEngine, tokenizer: PreTrainedTokenizerFast
) -> None:
    ids = tokenizer("how much")["input_ids"]
    tokens = reference_greedy(tiny_mistral_folder(), ids, 5)
    with torch.inference_mode():
        logits = reference_model(tiny_mistral_folder())(torch.tensor([ids + tokens])).logits[0]
    logprobs = torch.log_softmax(logits, -1)
    expected = [float(logprobs[len(ids) - 1 + i, token]) for i, token in enumerate(tokens)]
    text = (await engine.submit(make_request("how much", max_new_tokens=5))).texts[0]
    assert text.mean_logprob == pytest.approx(sum(expected) / 5, abs=1e-4)
    assert text.min_logprob == pytest.approx(min(expected), abs=1e-4)


async def test_batch_size_can_change_while_running(make_engine: MakeEngine) -> None:
    engine = make_engine(max_batch_size=1)
    requests = [make_request(prompt, request_id=prompt, max_new_tokens=30) for prompt in PROMPTS]
    alone = await asyncio.gather(*map(engine.submit, requests))
    assert {generation.batch_size for generation in alone} == {1}
    engine.reconfigure(max_batch_size=8, batch_wait_timeout_s=0.05)
    together = await asyncio.gather(*map(engine.submit, requests))
    assert max(generation.batch_size for generation in together) == len(PROMPTS)
    assert [g.texts[0].text for g in together] == [g.texts[0].text for g in alone]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"cpu_threads": 0}, "cpu_threads: .* got 0"),
        ({"max_batch_sizes": 2}, "max_batch_sizes: .* not permitted"),
        ({"max_batch_size": 0}, "max_batch_size: .* got 0"),
    ],
)
async def test_wrong_reconfiguration_is_refused(
    engine: TransformersEngine, changes: dict[str, int], reason: str
) -> None:
    before = engine.config
    with pytest.raises(ConfigurationError, match=reason):
        engine.reconfigure(**changes)
    assert engine.config == before


async def test_closing_fails_what_runs_and_refuses_the_rest(make_engine: MakeEngine) -> None:
    engine = make_engine()
    running = asyncio.create_task(engine.submit(make_request("weights", **LONG)))
    await until(engine, active_requests=1)
    await engine.close()
    with pytest.raises(ModelUnavailable):
        await running
    with pytest.raises(ModelUnavailable):
        await engine.submit(make_request("weights"))
    assert not (await engine.health()).ok


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (RuntimeError("device failure"), GenerationFailed),
        (torch.cuda.OutOfMemoryError("no memory"), Overloaded),
    ],
)
async def test_a_failing_step_fails_its_requests_only(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch, failure: Exception, expected: type[Exception]
) -> None:
    model = engine._loaded.model

    def fail(**_: object) -> None:
        raise failure

    with monkeypatch.context() as patch:
        patch.setattr(model, "forward", fail)
        with pytest.raises(expected) as refusal:
            await engine.submit(make_request("weights"))
    assert str(failure) not in str(refusal.value)
    assert (await engine.submit(make_request("weights"))).texts[0].token_count == 12
    assert (await engine.health()).ok


async def test_threads_follow_the_config(engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    engine.reconfigure(cpu_threads=3)
    await engine.submit(make_request("weights"))
    assert set(asked) == {3}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_bug_in_the_thread_leaves_nobody_waiting(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(engine._scheduler, "_drop_unwanted", fail)
    with pytest.raises(ModelUnavailable):
        await engine.submit(make_request("weights"))
    with pytest.raises(ModelUnavailable):
        await engine.submit(make_request("weights"))
    engine._scheduler._thread.join()
    assert not (await engine.health()).ok


@pytest.mark.parametrize(("quantization", "dtype"), [("8bit", "float32"), ("4bit", "bfloat16")])
async def test_quantized_models_generate(make_engine: MakeEngine, quantization: str, dtype: str) -> None:
    plain = make_engine().info
    engine = make_engine(tiny_profile(quantization=quantization, dtype=dtype))
    assert engine.info.weights_bytes < plain.weights_bytes
    layers = {type(module).__name__ for module in engine._loaded.model.modules()}
    assert {"8bit": "Linear8bitLt", "4bit": "Linear4bit"}[quantization] in layers
    generations = await asyncio.gather(
        *(engine.submit(make_request(p, request_id=p, candidates=2)) for p in PROMPTS)
    )
    assert all(text.token_count == 12 for generation in generations for text in generation.texts)


async def test_health_tells_the_state(engine: TransformersEngine) -> None:
    health = await engine.health()
    assert health.ok
    assert health.detail == "tiny is ready on cpu."
    assert health.figures["memory_free_bytes"]
    assert engine.memory().peak_bytes > 0


async def test_count_tokens_reads_no_control_tokens(
    engine: TransformersEngine, tokenizer: PreTrainedTokenizerFast
) -> None:
    short, control = await engine.count_tokens(("weights", "[INST]"))
    assert short == len(tokenizer("weights", add_special_tokens=False)["input_ids"])
    assert control > 1
