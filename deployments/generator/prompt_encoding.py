"""Prompts to token ids, with control tokens in anybody's text kept from acting as such.

Three kinds of tokens matter:

- *control tokens* (``special`` in the tokenizer: ``<s>``, ``[INST]``, ``<|answer|>``) steer the model. Only
  the chat template
  and the tokenizer's post-processor may write them. In a raw prompt they are encoded as plain text; in a chat
  turn they are broken up with a blank, because the template's own must still be read.
- *added tokens* that are not special (placeholders and words of a house model) are read from a raw prompt.
  Whoever builds
  raw prompts neutralises them in user text before.
- everything else is ordinary text.
"""

import re

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from deployments.generator.prompt_text import EMPTY, check_prompt, plain_text
from serve_app.contracts import ChatTurn, GenerationRequest
from serve_app.errors import ConfigurationError, InvalidRequest

# An added token of a chat template that its tokenizer does not call special: <tool_call>, [THINK].
_BRACKETED = re.compile(r"<\S+>|\[\S+\]")


class PromptEncoder:
    """Encodes requests for one model. Safe to use from any thread."""

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, backend: Tokenizer, context_tokens: int, chat: bool
    ) -> None:
        self._tokenizer = tokenizer
        self._chat = chat
        self._context_tokens = context_tokens
        # Two copies, because reading or not reading control tokens is a setting of the object, not of the
        # call.
        self._parsing = Tokenizer.from_str(backend.to_str())
        self._parsing.encode_special_tokens = False
        self._plain = Tokenizer.from_str(backend.to_str())
        self._plain.encode_special_tokens = True
        added = backend.get_added_tokens_decoder()
        # Templates also write added tokens that are not special (<tool_call>), but runs of blanks are text.
        self._control_tokens = sorted(
            (
                token.content
                for token in added.values()
                if len(token.content.strip()) > 1 and (token.special or _BRACKETED.fullmatch(token.content))
            ),
            key=len,
            reverse=True,
        )
        self._control_ids = frozenset(id_ for id_, token in added.items() if token.special)

    def encode(self, request: GenerationRequest) -> list[int]:
        """Token ids of the request's prompt, fit for the context.

        Raises:
            InvalidRequest: the prompt is empty, ambiguous or too long.
        """
        check_prompt(request)
        if self._chat and request.turns:
            ids = self._encode_chat(request.turns)
        else:
            ids = self._plain.encode(plain_text(request)).ids
        if not ids:
            raise InvalidRequest(EMPTY)
        if len(ids) >= self._context_tokens:
            raise InvalidRequest(
                f"The prompt has {len(ids)} tokens but at most {self._context_tokens - 1} fit; shorten it."
            )
        return ids

    def encode_answered(self, request: GenerationRequest, answer: str) -> tuple[list[int], list[int]]:
        """Ids of the prompt and of the answer that a model should give to it, its end token included.

        Both are what stands in the context at inference: the prompt is that of `encode`, the answer what the
        chat template makes of an assistant's turn.

        Raises:
            InvalidRequest: as in `encode`.
            ConfigurationError: the chat template changes the prompt when an answer follows.
        """
        prompt = self.encode(request)
        end = self._tokenizer.eos_token_id
        if request.text is not None or not self._chat:
            return prompt, [*self._plain.encode(answer, add_special_tokens=False).ids, end]
        turns = (*request.turns, ChatTurn(role="assistant", content=answer))
        whole = self._encode_chat(turns, prompt_only=False)
        if whole[: len(prompt)] != prompt:
            raise ConfigurationError("The chat template does not keep the prompt before an answer as it is.")
        completion = whole[len(prompt) :]
        # Some templates put a line break behind the end token.
        ended = completion[: completion.index(end)] if end in completion else completion
        return prompt, [*ended, end]

    def count(self, texts: tuple[str, ...]) -> tuple[int, ...]:
        """Tokens of each text without what a template adds around it."""
        return tuple(len(self._plain.encode(text, add_special_tokens=False).ids) for text in texts)

    def neutralised(self, text: str) -> str:
        """The text with every control token broken by a blank after its first character."""
        changed = True
        while changed:
            changed = False
            for token in self._control_tokens:
                if token in text:
                    text = text.replace(token, f"{token[0]} {token[1:]}")
                    changed = True
        return text

    def _encode_chat(self, turns: tuple[ChatTurn, ...], prompt_only: bool = True) -> list[int]:
        ids = self._templated(turns, [self.neutralised(turn.content) for turn in turns], prompt_only)
        # Neutralising works on text; a normalizer of the tokenizer could still make a control token of it.
        expected = self._templated(turns, ["x" for _ in turns], prompt_only)
        if self._controls(ids) != self._controls(expected):
            raise InvalidRequest(
                "The question holds characters that steer the language model. Ask it in plain words.",
                detail="a turn's text became control tokens",
            )
        return ids

    def _controls(self, ids: list[int]) -> list[int]:
        return [i for i in ids if i in self._control_ids]

    def _templated(self, turns: tuple[ChatTurn, ...], contents: list[str], prompt_only: bool) -> list[int]:
        messages = [
            {"role": turn.role, "content": content} for turn, content in zip(turns, contents, strict=True)
        ]
        try:
            text = self._tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=prompt_only
            )
        except Exception as error:  # jinja raises its own types, and templates raise for roles out of order
            raise InvalidRequest(
                f"The model's chat template does not accept the turns {', '.join(t.role for t in turns)}.",
                detail=f"{type(error).__name__}: {error}",
            ) from error
        ids: list[int] = self._parsing.encode(text, add_special_tokens=False).ids
        return ids
