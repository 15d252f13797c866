"""Why a query specification cannot be read or compiled; callers turn these into answers for users."""


class SpecError(ValueError):
    """A text or token sequence that is no valid specification: what is wrong, where, what is allowed."""

    def __init__(self, what: str, where: int | None = None, allowed: str | None = None) -> None:
        self.what = what
        self.where = where
        self.allowed = allowed
        place = "" if where is None else f" at {where}"
        hint = "" if allowed is None else f"; allowed: {allowed}"
        super().__init__(f"{what}{place}{hint}")


class CompileError(ValueError):
    """A valid specification without an SQL meaning here, e.g. a placeholder that no link fills."""
