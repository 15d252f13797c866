"""Verified question/SQL pairs: their store's reader, and answers to questions of the same shape."""
