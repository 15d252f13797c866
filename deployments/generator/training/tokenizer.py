"""The tokenizer of a model trained from scratch: byte-level BPE plus whole-word added tokens.

Encoding a prompt gives ``<|start|> prompt <|answer|>`` (the post-processor adds both), so whoever encodes it,
trainer or engine, starts the completion at the same place. The four control tokens are special:
`encode_special_tokens` keeps them from being read out of text. Added tokens are ordinary text that always
becomes one token; a blank before one belongs to it.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from deployments.generator.training.config import TokenizerConfig

# The bars keep them apart from any added token.
PAD, BOS, EOS, SEP = "<|pad|>", "<|start|>", "<|end|>", "<|answer|>"


def train_tokenizer(
    texts: Iterable[str],
    added_tokens: Sequence[str],
    config: TokenizerConfig,
    control_tokens: Sequence[str] = (),
) -> PreTrainedTokenizerFast:
    """Learn merges on ``texts`` with the added tokens cut out of them, and add those tokens.

    ``control_tokens`` are further special ones, for a chat template.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        _without(texts, added_tokens),
        trainers.BpeTrainer(
            vocab_size=config.vocab_size + 4 + len(control_tokens),
            min_frequency=config.min_frequency,
            special_tokens=[PAD, BOS, EOS, SEP, *control_tokens],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer.add_tokens([added_token(token) for token in dict.fromkeys(added_tokens)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A {SEP}",
        special_tokens=[(BOS, tokenizer.token_to_id(BOS)), (SEP, tokenizer.token_to_id(SEP))],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        sep_token=SEP,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def added_token(token: str) -> AddedToken:
    """One whole word of the vocabulary; a blank before it belongs to it."""
    return AddedToken(token, normalized=False, lstrip=True)


def _without(texts: Iterable[str], added_tokens: Sequence[str]) -> Iterator[str]:
    """The stretches between added tokens. Longest token first, so that none is cut inside a longer one."""
    if not added_tokens:
        yield from texts
        return
    splitter = re.compile("|".join(re.escape(token) for token in sorted(added_tokens, key=len, reverse=True)))
    for text in texts:
        yield from (piece for piece in splitter.split(text) if piece.strip())
