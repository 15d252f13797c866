"""What the doctor finds: on real roles of a careless database, and on facts made for one check."""

from dataclasses import replace

import asyncpg
import pytest

from deployments.executor.embedded import EmbeddedDatabase
from deployments.executor.role.checks import Finding, Wanted, examine
from deployments.executor.role.facts import Relation, Role, RoleFacts, Routine, Schema, Server, read_facts
from deployments.executor.role.grants import RoleGrant, apply_grant, scram_verifier
from deployments.sql_validator.policy import Policies
from serve_app.database_role import readable_columns, wanted
from serve_app.paths import PROJECT_ROOT

POLICIES = Policies.load(PROJECT_ROOT / "configs" / "policies")
PASSWORD = "only for tests"


async def diagnosis(dsn: str, policy: str = "default") -> tuple[Finding, ...]:
    connection = await asyncpg.connect(dsn, statement_cache_size=0)
    try:
        facts = await read_facts(connection, "public")
    finally:
        await connection.close()
    live = {table: tuple(columns) for table, columns in facts.columns.items()}
    return examine(facts, wanted(POLICIES, policy, live, "public"))


def lines(findings: tuple[Finding, ...], severity: str) -> str:
    return "\n".join(f.line() for f in findings if f.severity == severity)


@pytest.mark.postgres
async def test_the_embedded_reader_is_healthy(sample_database: EmbeddedDatabase) -> None:
    findings = await diagnosis(sample_database.dsn)
    assert lines(findings, "error") == lines(findings, "warning") == ""
    assert "exactly what the policy 'default' allows" in lines(findings, "ok")


# Role, policy, and what its report must hold, by severity.
ROLES = [
    (
        "nlq_ro",
        "default",
        {
            "error": [
                "functions: secret_lookup(integer) can be called and has its owner's rights",
                "functions: op_leak(integer,integer)",
                "functions: bump_audit(text)",
                "limits: default_transaction_read_only is off",
            ],
            "warning": [
                "database: temporary tables can be created",
                'tables: the sequence "public"."invoice_seq" can be moved',
                "2 functions of this database can be called by everyone (PUBLIC): wage(labor), wipe()",
                "limits: statement_timeout is 0",
                "limits: temp_file_limit is -1. As a superuser: ALTER ROLE",
                'role: "nlq_ro" may open any number of connections',
            ],
            "ok": ["grants: exactly what the policy 'default' allows", "rows: row-level security is on"],
        },
    ),
    ("nlq_ro", "restricted", {"error": ["more than the policy allows can be read: labor.worker_name"]}),
    ("nlq_cols", "restricted", {"ok": ["grants: exactly what the policy 'restricted' allows"]}),
    (
        "nlq_cols",
        "default",
        {"warning": ["allows what cannot be read: labor.worker_name, labor.hourly_rate"]},
    ),
    (
        "nlq_broad",
        "default",
        {
            "error": [
                'role: "nlq_broad" is a member of "pg_read_all_data". REVOKE "pg_read_all_data" FROM',
                "more than the policy allows can be read: app_users.id",
            ],
            "warning": ['role: "nlq_broad" would inherit'],
        },
    ),
    ("app_login", "default", {"error": ['is a member of "nlq_ro"', 'is a member of "pg_read_all_data"']}),
    (
        "nlq_rw",
        "default",
        {
            "error": [
                'schema: objects can be created in "public"',
                'tables: "public"."labor" can be written to',
            ]
        },
    ),
]


@pytest.mark.postgres
@pytest.mark.parametrize(("role", "policy", "told"), ROLES, ids=[f"{r[0]}-{r[1]}" for r in ROLES])
async def test_careless_roles(
    testbed: EmbeddedDatabase, role: str, policy: str, told: dict[str, list[str]]
) -> None:
    findings = await diagnosis(f"postgresql://{role}:ro@127.0.0.1:{testbed.port}/plumbline", policy)
    for severity, expected in told.items():
        found = lines(findings, severity)
        assert [text for text in expected if text not in found] == [], found
    assert all(f.advice for f in findings if f.severity != "ok")


@pytest.mark.postgres
async def test_a_superuser_is_the_worst(testbed: EmbeddedDatabase) -> None:
    found = lines(await diagnosis(testbed.admin_dsn), "error")
    for text in (
        "is a superuser",
        "may create roles",
        "passes row-level security by",
        "owns",
        'schema: "hr" can be used, and salaries read',
        "schemas can be created",
    ):
        assert text in found


@pytest.mark.postgres
async def test_what_grant_makes_is_found_healthy(testbed: EmbeddedDatabase) -> None:
    admin = await asyncpg.connect(testbed.admin_dsn)
    columns = readable_columns(POLICIES, "restricted", None)
    grant = RoleGrant(
        "reader_healthy", columns, password_verifier=scram_verifier(PASSWORD), revoke_public=True
    )
    try:
        await apply_grant(admin, grant)
        dsn = f"postgresql://reader_healthy:only%20for%20tests@127.0.0.1:{testbed.port}/plumbline"
        findings = await diagnosis(dsn, "restricted")
    finally:
        await admin.execute(
            "GRANT EXECUTE ON ALL ROUTINES IN SCHEMA public TO PUBLIC;"
            "ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON ROUTINES TO PUBLIC;"
            "GRANT TEMPORARY ON DATABASE plumbline TO PUBLIC"
        )
        await admin.close()
    assert lines(findings, "error") == lines(findings, "warning") == ""


HEALTHY = RoleFacts(
    role=Role("reader"),
    server=Server(version=180_004, version_text="18.4", database="shop", ssl=True),
    settings={
        "default_transaction_read_only": "on",
        "temp_file_limit": "65536",
        "statement_timeout": "30000",
    },
    schemas=(Schema("public", usable=True),),
    relations=(Relation("public", "orders"),),
    columns={"orders": {"id": True, "total": False}},
)
WANTED = Wanted("shop", "public", {"orders": frozenset({"id"})})


def changed(**more: object) -> RoleFacts:
    return replace(HEALTHY, **more)  # type: ignore[arg-type]


MADE_FACTS = [
    (changed(), WANTED, "ok", "connection: encrypted"),
    (changed(server=replace(HEALTHY.server, ssl=False)), WANTED, "ok", "on this machine, not encrypted"),
    (
        changed(server=replace(HEALTHY.server, ssl=False, loopback=False)),
        WANTED,
        "warning",
        "connection: not encrypted. Add ?sslmode=",
    ),
    (changed(server=replace(HEALTHY.server, version=130_000)), WANTED, "warning", "never tried"),
    (changed(server=replace(HEALTHY.server, version=160_000)), WANTED, "warning", "no transaction_timeout"),
    (changed(schemas=()), WANTED, "error", 'schema: "public" cannot be used. GRANT USAGE'),
    (
        changed(settings={"jit": "on"}),
        WANTED,
        "warning",
        "limits: jit is on. ALTER ROLE \"reader\" SET jit = 'off'",
    ),
    (changed(), Wanted("shop", "public", {"lost": frozenset({"id"})}), "warning", "cannot be read: lost"),
    (changed(), Wanted("shop", "public", {}, all_granted=True), "error", "can be read: orders.id"),
    (
        changed(routines=(Routine("public", "similarity(text,text)", of_extension=True),)),
        WANTED,
        "warning",
        "1 functions of extensions can be called: similarity(text,text)",
    ),
    (
        changed(
            relations=(
                Relation("public", "orders", row_security=True),
                Relation("public", "open_orders", is_view=True),
                Relation("public", "safe_orders", is_view=True, security_invoker=True),
            )
        ),
        WANTED,
        "warning",
        "past row-level security: open_orders. ALTER VIEW",
    ),
]


@pytest.mark.parametrize(
    ("facts", "policy", "severity", "text"), MADE_FACTS, ids=[m[3][:30] for m in MADE_FACTS]
)
def test_each_check_on_facts_made_for_it(facts: RoleFacts, policy: Wanted, severity: str, text: str) -> None:
    assert text in lines(examine(facts, policy), severity)


def test_a_healthy_role_has_no_faults_and_errors_come_first() -> None:
    assert {f.severity for f in examine(HEALTHY, WANTED)} == {"ok"}
    worse = changed(role=Role("reader", superuser=True, connection_limit=-1))
    assert [f.severity for f in examine(worse, WANTED)][:3] == ["error", "warning", "ok"]
