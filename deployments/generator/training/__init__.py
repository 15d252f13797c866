"""Training a small causal language model from scratch on (prompt, completion) pairs. Knows nothing of SQL."""
