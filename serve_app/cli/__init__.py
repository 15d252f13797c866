"""The `plumbline` command. Starts fast: whatever is heavy is imported by the command that needs it."""


def main() -> None:
    from serve_app.cli.app import run

    raise SystemExit(run())
