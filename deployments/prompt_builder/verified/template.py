"""A verified statement as a template: the links of its question aligned with its constants.

Every link must be found among the constants unambiguously, and no constant may be left that could belong to
one; otherwise there is no template. What fills a slot is a literal of sqlglot, so no value is ever SQL.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlglot import exp

from deployments.prompt_builder.verified.alignment import align_names, align_numbers
from deployments.prompt_builder.verified.columns import StoredColumns
from deployments.prompt_builder.verified.date_alignment import align_dates
from deployments.prompt_builder.verified.slots import Slot
from deployments.prompt_builder.verified.writing import read_statement, written
from serve_app.contracts import Link, SchemaSnapshot


@dataclass(frozen=True, slots=True)
class SqlTemplate:
    """A statement with numbered placeholders in place of the constants that its question names."""

    tree: exp.Expr
    slots: tuple[Slot, ...]

    def fill(self, links: Sequence[Link]) -> str | None:
        """The statement for other links of the same shape; None if a link does not clearly fill its slots."""
        known = {link.placeholder: link for link in links}
        if known.keys() != {slot.placeholder for slot in self.slots}:
            return None
        tree = self.tree.copy()
        for node in list(tree.find_all(exp.Placeholder)):
            slot = self.slots[int(node.name)]
            constant = slot.filled(known[slot.placeholder])
            if constant is None:
                return None
            node.replace(constant)
        return written(tree)


def make_template(
    sql: str, links: Sequence[Link], schema: SchemaSnapshot, asked_on: date
) -> SqlTemplate | None:
    """The template of a verified pair; ``links`` are its question's, read as on ``asked_on``."""
    tree = read_statement(sql)
    if tree is None or next(tree.find_all(exp.Placeholder, exp.Parameter), None) is not None:
        return None
    columns = StoredColumns(tree, schema)
    found: list[tuple[exp.Expr, Slot]] = []
    # Dates first: the numbers inside of their expressions are no numbers of the question.
    for align in (align_dates(asked_on, schema), align_names, align_numbers):
        taken = {id(part) for node, _ in found for part in node.walk()}
        aligned = align(tree, links, columns, taken)
        if aligned is None:
            return None
        found += aligned
    if {slot.placeholder for _, slot in found} != {link.placeholder for link in links}:
        return None
    for number, (node, _) in enumerate(found):
        node.replace(exp.Placeholder(this=str(number)))
    return SqlTemplate(tree, tuple(slot for _, slot in found))
