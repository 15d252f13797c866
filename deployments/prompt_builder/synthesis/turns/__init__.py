"""Follow-up turns: short questions that change the meaning before them."""
