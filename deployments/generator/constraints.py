"""The place where an output grammar takes hold of decoding."""

from collections.abc import Callable, Sequence
from typing import Protocol

import torch


class TokenConstraint(Protocol):
    """Which tokens may follow, for one grammar. Must not raise: one failing request may not end its batch."""

    def mask(self, generated: Sequence[int], logits: torch.Tensor) -> torch.Tensor:
        """``logits`` (one per vocabulary entry) with forbidden tokens at minus infinity.

        ``generated`` is the sequence so far without the prompt; at least one token must stay possible.
        """
        ...


ConstraintFactory = Callable[[str], TokenConstraint]
"""Compiles a grammar text; raises InvalidRequest when it cannot."""
