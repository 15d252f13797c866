"""A cascade of two engines as a Serve application of its own, beside the graph of the other tests."""

import json
from collections.abc import Iterator

import pytest

from serve_app.contracts import Generation, GenerationRequest, SamplingParams
from serve_app.engines import GeneratorCascade
from serve_app.errors import ModelUnavailable
from serve_app.handles import GeneratorHandle
from tests.serve_support import Graph, tiny_profile_file

pytestmark = [pytest.mark.serve, pytest.mark.postgres]

APP = "plumbline-cascade"


@pytest.fixture(scope="module")
def deployments(graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Names of the Generator deployments of the small and the large engine."""
    from ray import serve

    from serve_app.app import build_app
    from serve_app.app_args import AppArgs

    folder = tmp_path_factory.mktemp("cascade")
    fitted = {"model": "small", "data": ["d"], "questions": 9, "right": 5, "log_loss": 0.1, "intercept": -9.0}
    calibration = folder / "calibration.json"
    calibration.write_text(json.dumps({**fitted, "coefficients": {}}), encoding="utf-8")
    small = tiny_profile_file(folder, "small", calibration=calibration)
    large = tiny_profile_file(folder, "large")
    settings = folder / "settings.yaml"
    # The environment of the session names a single profile, which wins over a Serve config and not over this.
    settings.write_text(json.dumps({"model": {"cascade": [str(small), str(large)]}}), encoding="utf-8")
    serve.run(build_app(AppArgs(settings_file=settings)), name=APP, route_prefix="/cascade")
    yield "Generator", "Generator-large"
    serve.delete(APP)


@pytest.fixture
def cascade(deployments: tuple[str, str]) -> GeneratorCascade:
    from ray import serve

    small, large = (GeneratorHandle(serve.get_deployment_handle(name, APP), 20.0) for name in deployments)
    return GeneratorCascade({"small": small, "large": large})


def request(engine: str, request_id: str = "r") -> GenerationRequest:
    params = SamplingParams(max_new_tokens=4, temperature=0.0)
    return GenerationRequest(request_id=request_id, engine=engine, text="some text", params=params)


async def test_each_engine_is_a_deployment_that_answers_its_own_requests(cascade: GeneratorCascade) -> None:
    for engine in ("small", "large"):
        assert (await cascade.generate(request(engine))).model == engine
    *_, last = [piece async for piece in cascade.stream(request("large", "s"))]
    assert isinstance(last, Generation)
    assert last.model == "large"
    health = await cascade.health()
    assert (health.ok, health.figures["small.ok"], health.figures["large.ok"]) == (True, True, True)


async def test_a_question_goes_through_both_engines(deployments: tuple[str, str], graph: Graph) -> None:
    import httpx

    async with httpx.AsyncClient(timeout=60) as client:
        body = {"query": "How much was spent on permits?", "user_id": "ann"}
        answered = (await client.post(f"{graph.url}/cascade/api/chat", json=body)).json()
        health = (await client.get(f"{graph.url}/cascade/ready")).json()
    # Random weights write no SQL, so the small engine is never sure and the large one is asked too.
    assert answered["metadata"]["model"] == "large"
    assert answered["metadata"]["engines"] == ["small", "large"]
    (generator,) = [stage for stage in health["stages"] if stage["stage"] == "generator"]
    assert generator["figures"]["large.model"] == "large"


async def test_a_lost_engine_is_its_own_loss(cascade: GeneratorCascade, deployments: tuple[str, str]) -> None:
    import ray
    from ray.util import list_named_actors

    (replica,) = [
        actor["name"]
        for actor in list_named_actors(all_namespaces=True)
        if (actor["name"] or "").find(f"{APP}#Generator#") >= 0
    ]
    ray.kill(ray.get_actor(replica, namespace="serve"), no_restart=True)
    assert (await cascade.generate(request("large", "after"))).model == "large"
    assert (await cascade.health()).ok
    try:
        # Its successor, or the word that it is not there yet: never the other engine's answer.
        assert (await cascade.generate(request("small", "again"))).model == "small"
    except ModelUnavailable:
        assert not (await cascade.health()).figures["small.ok"]
