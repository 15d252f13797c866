"""Scoring a running endpoint on files of questions with gold statements."""
