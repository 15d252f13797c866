"""Instruction data: JSON lines of ``instruction``, ``input`` and ``output``, as a run's pairs."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deployments.generator.prompt_encoding import PromptEncoder
from deployments.generator.training.config import BatchConfig
from deployments.generator.training.data import Pair, PairEncoder, Row
from serve_app.contracts import ChatTurn, GenerationRequest
from serve_app.errors import ConfigurationError


class InstructionPair(BaseModel):
    """One line of the file. Further fields of other people's files are read over."""

    model_config = ConfigDict(frozen=True)

    instruction: str = Field(
        min_length=1, description="The system turn, or the whole prompt without an input"
    )
    input: str = Field(default="", description="The user's turn")
    output: str = Field(min_length=1, description="What the model is to answer")

    @property
    def request(self) -> GenerationRequest:
        return GenerationRequest(request_id="training", turns=turns_of(self.instruction, self.input))


@dataclass(frozen=True, slots=True)
class InstructionData:
    """A file's pairs, parted by the hash of what is asked: the same question is never on both sides."""

    trained: tuple[InstructionPair, ...]
    held_out: tuple[InstructionPair, ...]
    sha256: str


def turns_of(instruction: str, text: str) -> tuple[ChatTurn, ...]:
    """The turns of a prompt; without an input the instruction is the user's."""
    if not text:
        return (ChatTurn(role="user", content=instruction),)
    return ChatTurn(role="system", content=instruction), ChatTurn(role="user", content=text)


def read_instructions(path: Path, held_out_one_in: int) -> InstructionData:
    """Read and part a file.

    Raises:
        ConfigurationError: it cannot be read, a line is wrong (named by its number), or a part is empty.
    """
    try:
        content = path.read_bytes()
        lines = content.decode("utf-8").splitlines()
    except OSError as error:
        raise ConfigurationError(f"The data {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"The data {path} is not UTF-8 text.") from error
    pairs = [_pair(path, number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    trained = tuple(pair for pair in pairs if not _is_held_out(pair, held_out_one_in))
    held_out = tuple(pair for pair in pairs if _is_held_out(pair, held_out_one_in))
    if not trained or not held_out:
        raise ConfigurationError(
            f"The data {path} has {len(trained)} pairs to train on and {len(held_out)} to score "
            f"(one in {held_out_one_in}); both must have some."
        )
    return InstructionData(trained, held_out, hashlib.sha256(content).hexdigest())


def _pair(path: Path, number: int, line: str) -> InstructionPair:
    try:
        return InstructionPair.model_validate(json.loads(line))
    except (json.JSONDecodeError, ValidationError) as error:
        if isinstance(error, ValidationError):
            found = error.errors()[0]
            reason = f"{'.'.join(map(str, found['loc'])) or 'line'}: {found['msg']}"
        else:
            reason = error.msg
        raise ConfigurationError(f"The data {path} is wrong in line {number}: {reason}.") from error


def _is_held_out(pair: InstructionPair, one_in: int) -> bool:
    asked = pair.input or pair.instruction
    return int.from_bytes(hashlib.blake2b(asked.encode(), digest_size=4).digest()) % one_in == 0


class InstructionEncoder(PairEncoder):
    """Pairs of (instruction, input, output) as they stand in the context at inference; loss on the output."""

    def __init__(self, prompts: PromptEncoder, pad_id: int, config: BatchConfig) -> None:
        self._prompts = prompts
        self._pad_id = pad_id
        self._config = config

    def rows(self, pairs: list[Pair]) -> list[Row]:
        return [
            self._prompts.encode_answered(
                GenerationRequest(request_id="training", turns=turns_of(instruction, text)), output
            )
            for instruction, text, output in pairs
        ]
