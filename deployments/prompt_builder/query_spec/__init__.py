"""The query specification: language (`nodes`), text form, model tokens, canonical form and compiler to PostgreSQL."""
