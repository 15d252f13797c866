"""Fixtures for every test; each kind has a module of its own."""

pytest_plugins = ["postgres_fixture"]
