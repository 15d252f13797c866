"""A request's prompt before any tokenizer."""

from serve_app.contracts import GenerationRequest
from serve_app.errors import InvalidRequest

EMPTY = "The prompt is empty; send some text."


def check_prompt(request: GenerationRequest) -> None:
    """Raises InvalidRequest unless there are either turns or text."""
    if bool(request.turns) == (request.text is not None):
        raise InvalidRequest("A generation request needs either turns or text, and not both.")


def plain_text(request: GenerationRequest) -> str:
    """What a model without a chat template, such as a base model, goes on from: the turns as one text.

    Raises:
        InvalidRequest: it is empty.
    """
    if request.text is not None:
        text = request.text
    else:
        text = "\n\n".join(turn.content for turn in request.turns) + "\n"
    if not text.strip():
        raise InvalidRequest(EMPTY)
    return text
