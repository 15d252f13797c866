"""The rows of a batch inside the model: keys and values, and which positions each row may see.

Rows are padded on the left to a common length. Rows join (`merge`) and leave or fork (`select`) between two
passes, so a finished sequence costs nothing and a new one waits for nobody.
"""

from collections.abc import Sequence as Sequence_

import torch
from transformers import DynamicCache, PreTrainedModel


class Rows:
    """``cache``: per layer keys and values (rows x heads x length x width); ``visible``: rows x length."""

    def __init__(self, cache: DynamicCache, visible: torch.Tensor, lengths: list[int]) -> None:
        self._cache = cache
        self._visible = visible
        self.lengths = lengths

    def __len__(self) -> int:
        return len(self.lengths)

    @classmethod
    def prefill(
        cls, model: PreTrainedModel, prompts: Sequence_[Sequence_[int]], pad_id: int
    ) -> "tuple[Rows, torch.Tensor]":
        """Run prompts; the rows and their logits (prompts x vocabulary)."""
        device = model.device
        lengths = [len(prompt) for prompt in prompts]
        width = max(lengths)
        ids = torch.tensor(
            [[pad_id] * (width - len(prompt)) + list(prompt) for prompt in prompts], device=device
        )
        starts = torch.tensor([[width - length] for length in lengths], device=device)
        steps = torch.arange(width, device=device)
        visible = steps >= starts
        causal = steps[None, :] <= steps[:, None]
        cache = DynamicCache()
        output = model(
            input_ids=ids,
            attention_mask=_additive(visible[:, None, None, :] & causal, model.dtype),
            position_ids=(steps - starts).clamp(min=0),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return cls(cache, visible, lengths), output.logits[:, -1]

    def step(self, model: PreTrainedModel, tokens: Sequence_[int]) -> torch.Tensor:
        """Append one token to each row; the logits after it (rows x vocabulary)."""
        device = model.device
        column = torch.ones((len(tokens), 1), dtype=torch.bool, device=device)
        self._visible = torch.cat([self._visible, column], dim=1)
        output = model(
            input_ids=torch.tensor(tokens, device=device)[:, None],
            attention_mask=_additive(self._visible[:, None, None, :], model.dtype),
            position_ids=torch.tensor(self.lengths, device=device)[:, None],
            past_key_values=self._cache,
            use_cache=True,
        )
        self.lengths = [length + 1 for length in self.lengths]
        logits: torch.Tensor = output.logits[:, -1]
        return logits

    def select(self, parents: Sequence_[int]) -> None:
        """Keep, drop, repeat and reorder rows; padding that no row needs any more is cut off."""
        if list(parents) == list(range(len(self))):
            return
        index = torch.tensor(parents, device=self._visible.device)
        self.lengths = [self.lengths[parent] for parent in parents]
        first = self._visible.shape[1] - max(self.lengths)
        self._visible = self._visible[index, first:]
        for layer in self._cache.layers:
            layer.keys = layer.keys[index, :, first:]
            layer.values = layer.values[index, :, first:]

    def merge(self, other: "Rows") -> None:
        """Append the rows of ``other``."""
        width = max(self._visible.shape[1], other._visible.shape[1])
        self._visible = torch.cat(
            [_widened(self._visible, width, dim=1), _widened(other._visible, width, dim=1)]
        )
        for mine, theirs in zip(self._cache.layers, other._cache.layers, strict=True):
            mine.keys = torch.cat([_widened(mine.keys, width, dim=2), _widened(theirs.keys, width, dim=2)])
            mine.values = torch.cat(
                [_widened(mine.values, width, dim=2), _widened(theirs.values, width, dim=2)]
            )
        self.lengths = [*self.lengths, *other.lengths]


def _additive(visible: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """0 where visible, else the lowest finite number: a row of padding alone must not become NaN."""
    mask = torch.zeros(visible.shape, dtype=dtype, device=visible.device)
    return mask.masked_fill(~visible, torch.finfo(dtype).min)


def _widened(tensor: torch.Tensor, width: int, dim: int) -> torch.Tensor:
    """Zeros (or False) in front of dimension ``dim`` up to ``width``."""
    missing = width - tensor.shape[dim]
    if not missing:
        return tensor
    shape = list(tensor.shape)
    shape[dim] = missing
    return torch.cat([tensor.new_zeros(shape), tensor], dim=dim)
