"""The house model's prompt profile: linked questions in, query specifications out."""
