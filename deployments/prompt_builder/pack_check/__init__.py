"""What is missing or contradictory in a domain pack. Each rule is a function over a `PackView`."""

from deployments.prompt_builder.pack_check import derived, lookups, phrases, tables, terms
from deployments.prompt_builder.pack_check.view import Finding, PackView, Rule

RULES: tuple[Rule, ...] = (
    tables.tables_and_columns,
    tables.roles,
    tables.main_columns,
    tables.display,
    terms.nouns,
    terms.column_terms,
    terms.lookup_words,
    lookups.values,
    derived.derived,
    phrases.phrase_files,
    phrases.phrasings,
)


def check_pack(view: PackView) -> tuple[Finding, ...]:
    """What every rule finds, errors first; within a severity in the order of the rules."""
    found = [finding for rule in RULES for finding in rule(view)]
    return tuple(sorted(found, key=lambda finding: SEVERITIES.index(finding.severity)))


SEVERITIES = ("error", "warning", "note")
