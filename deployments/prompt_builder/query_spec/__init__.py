"""The query specification: language (`nodes`), text, model tokens, canonical form, compiler."""
