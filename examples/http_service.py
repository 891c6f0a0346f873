"""An HTTP service: one Predictor answers all requests, each within the budget that it brings.

    pip install '.[serve]'
    python examples/http_service.py --latency-ms 50 &
    curl localhost:8000/predict --data '{"texts": ["a great film", "dull"], "latency_ms": 20}'
    curl localhost:8000/predict --data '{"texts": ["a great film"], "options": {"top_k": 2}}'
    curl localhost:8000/stats

Pairs of texts, such as a question and its context, are lists of two. Embeddings come with their space and the networks
that made them.

A question that is none is status 400, a budget that no sub-network can keep 422.
"""

import argparse
import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, TypedDict

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import edgebert
from edgebert.errors import BudgetError, BundleError, EdgeBertError, ProfileError

MAX_BODY_BYTES = 10_000_000


class Question(msgspec.Struct, forbid_unknown_fields=True):
    """What a request asks: texts, or pairs of texts, and the milliseconds that all of them may take together.

    `options` are those of the bundle's task, such as {"top_k": 3}.
    """

    texts: Annotated[list[str | tuple[str, str]], msgspec.Meta(max_length=1000)]
    latency_ms: Annotated[float, msgspec.Meta(gt=0)] | None = None
    options: dict[str, Any] = {}


class State(TypedDict):
    """What requests share."""

    model: edgebert.Predictor


async def predict(request: Request) -> Response:
    """Answer the texts of a question."""
    model: edgebert.Predictor = request.state.model
    try:
        question = msgspec.json.decode(await body_of(request), type=Question)
        reserved = sorted({"texts", "latency_ms"} & question.options.keys())
        if reserved:
            raise EdgeBertError(f"expected options of the task, found {reserved[0]}; give it beside the options")
        predictions = await model.predict_async(question.texts, latency_ms=question.latency_ms, **question.options)
    except BudgetError as problem:
        return failure(problem, 422)
    except (BundleError, ProfileError) as problem:
        return failure(problem, 500)
    except (msgspec.DecodeError, UnicodeDecodeError, EdgeBertError) as problem:
        return failure(problem, 400)
    if isinstance(predictions, edgebert.Embeddings):
        # Who compares vectors must know their space.
        origin = {"space": predictions.space, "networks": predictions.networks}
        return success({"predictions": predictions.tolist(), **origin})
    return success({"predictions": predictions})


async def stats(request: Request) -> Response:
    """Tell what was answered by what so far."""
    # In a thread as well, since it waits for the request that is being answered.
    return success(await asyncio.to_thread(request.state.model.stats))


async def body_of(request: Request) -> bytes:
    """Return a request's body, of bounded size."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise EdgeBertError(f"expected at most {MAX_BODY_BYTES} bytes; ask several times")
    return body


def success(value: object) -> Response:
    """Return an answer as JSON."""
    return Response(msgspec.json.encode(value), media_type="application/json")


def failure(problem: Exception, status: int) -> Response:
    """Return an error's one line as JSON."""
    return Response(msgspec.json.encode({"error": str(problem)}), status, media_type="application/json")


def service(bundle: str | None = None, latency_ms: float | None = None, profile: str | None = None) -> Starlette:
    """Return the application; the networks are loaded when it starts and let go when it ends."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[State]:
        with edgebert.load(bundle, latency_ms=latency_ms, profile=profile) as model:
            yield {"model": model}

    routes = [Route("/predict", predict, methods=["POST"]), Route("/stats", stats)]
    return Starlette(routes=routes, lifespan=lifespan)


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", help="a bundle folder (default: the built-in one)")
    parser.add_argument("--latency-ms", type=float, help="the budget of each text whose request brings none")
    parser.add_argument("--profile", help="a profile (default: the cached or a quick one)")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    application = service(options.bundle, options.latency_ms, options.profile)
    uvicorn.run(application, host=options.host, port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
