"""The catalog: a DuckDB file that holds problems, rollouts, grades and decisions. The only file that imports duckdb.

    with Catalog.open("C.duckdb") as catalog: ...                    # the one writer
    with Catalog.open("C.duckdb", read_only=True) as catalog: ...    # SQL: .query(), or for notebooks .df(), .arrow()

Tables are append-only (migrations/001_tables.sql), counters are views (002_views.sql). One process writes, in Arrow batches, each
its own transaction: whatever kills it, a batch is there wholly or not at all. Files are made with DuckDB 1.4's storage, so that
older clients read them too.
"""
from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ..core.errors import CatalogBusy, CatalogError, InputError, UsageError

if TYPE_CHECKING:
    from types import TracebackType

    import pandas as pd
    import pyarrow as pa

__all__ = ["Catalog", "Result"]

_T = TypeVar("_T")
_STORAGE: Final = "v1.4.0"
_FETCH: Final = 2048
_MAGIC: Final = b"DUCK"
_MAGIC_AT: Final = 8
"""What a DuckDB file has there."""

Result = tuple[list[str], list[tuple[Any, ...]]]
"""Column names, and the rows."""


class Catalog:
    """An open catalog. Close it, or use it as a context manager."""

    def __init__(self, connection: Any, path: Path) -> None:
        self._db = connection
        self.path = path
        self.after_commit: Callable[[], None] | None = None
        """Called when a batch of rows has been committed (snapshot.py)."""

    @classmethod
    def open(cls, path: str | Path, *, read_only: bool = False) -> Catalog:
        """Opens a catalog; a writer creates it if it is not there, and brings an older one up to date.

        Raises: CatalogError (locked by another process, no catalog, of a newer version), InputError (cannot be read or written).
        """
        path = Path(path)
        if read_only and not path.exists():
            raise InputError(f"{path}: no such catalog; `assay curate POOL --catalog {path}` makes one")
        _check_is_database(path)
        import duckdb

        try:
            connection = duckdb.connect(str(path), read_only=read_only,
                                        config={} if path.exists() else {"storage_compatibility_version": _STORAGE})
        except duckdb.Error as error:
            raise _opening_error(path, error, read_only) from error
        catalog = cls(connection, path)
        try:
            catalog._migrate(read_only)
        except BaseException:
            connection.close()
            raise
        return catalog

    def __enter__(self) -> Catalog:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Idempotent. What was appended is on disk already."""
        import duckdb

        with contextlib.suppress(duckdb.Error):
            self._db.close()

    def append(self, table: str, columns: Mapping[str, Sequence[Any]]) -> None:
        """Adds rows to a table, given by column; within a `transaction` or as one. Raises: InputError if the disk is full."""
        self.append_all({table: columns})

    def append_all(self, tables: Mapping[str, Mapping[str, Sequence[Any]]], queries: Mapping[str, str] | None = None) -> None:
        """Adds rows to several tables, all of them or none; those of `queries` are what a query of ours gives, by column name."""
        filled = {table: columns for table, columns in tables.items() if len(next(iter(columns.values()), ()))}
        if not filled and not queries:
            return
        with self.transaction():
            for table, columns in filled.items():
                self._insert(table, columns)
            for table, sql in (queries or {}).items():
                self._db.execute(f"INSERT INTO {table} BY NAME {sql}")

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is appended inside is there at its end, or nothing of it."""
        with self._named_errors():
            self._db.begin()
            try:
                yield
                self._db.commit()
            except BaseException:
                with contextlib.suppress(Exception):    # the first error is the one to tell
                    self._db.rollback()
                raise
        if self.after_commit is not None:
            self.after_commit()

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query of ours."""
        with self._named_errors():
            return list(self._db.execute(sql, list(parameters)).fetchall())

    def stream(self, sql: str, parameters: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """Rows of a query of ours, fetched as they are used; others may run meanwhile."""
        cursor = self._db.cursor()
        try:
            with self._named_errors():
                cursor.execute(sql, list(parameters))
                while rows := cursor.fetchmany(_FETCH):
                    yield from rows
        finally:
            cursor.close()

    def query(self, sql: str, limit: int | None = None) -> Result:
        """A user's query, one statement; at most `limit` rows. Raises: UsageError with DuckDB's message as one line."""
        with self._users_errors():
            if (n := len(self._db.extract_statements(sql))) != 1:
                raise UsageError(f"SQL: {n or 'no'} statements; give one query")
            answer = self._db.execute(sql)
            if answer.description is None:
                return [], []
            return [column[0] for column in answer.description], list(answer.fetchall() if limit is None else answer.fetchmany(limit))

    def stoppable(self, work: Callable[[], _T]) -> _T:
        """What `work` returns, done in another thread, so that Ctrl-C stops its query at once. Raises: KeyboardInterrupt, and as `work`."""
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(work)
            try:
                while not future.done():
                    wait([future], timeout=0.1)
            except KeyboardInterrupt:
                self._db.interrupt()
                raise
            return future.result()

    def statements(self, sql: str) -> list[str]:
        """The statements of a text. Raises: UsageError."""
        with self._users_errors():
            return [str(statement.query).strip() for statement in self._db.extract_statements(sql)]

    def save(self, query: str, target: Path) -> int:
        """Writes a query's rows to a new .csv, .json, .jsonl or .parquet file; how many. Raises: UsageError, InputError."""
        formats = {".csv": "csv, HEADER", ".json": "json, ARRAY true", ".jsonl": "json", ".parquet": "parquet"}
        if target.suffix not in formats:
            raise UsageError(f"{target}: the name must end in {', '.join(formats)}")
        if target.exists():
            raise UsageError(f"{target} exists; choose another name")
        if not target.absolute().parent.is_dir():
            raise InputError(f"{target}: there is no folder {target.absolute().parent}")
        with self._users_errors():
            [(rows,)] = self._db.execute(f"COPY (\n{_bare(query)}\n) TO {_quoted(target)} (FORMAT {formats[target.suffix]})").fetchall()
        return int(rows)

    def arrow(self, query: str) -> pa.Table:
        """The rows of a query, or of a view or table by its name, as an Arrow table; BIT as text of 0 and 1. Raises: UsageError."""
        with self._users_errors():
            return self._relation(query).to_arrow_table()

    def df(self, query: str) -> pd.DataFrame:
        """The same as a pandas DataFrame: `catalog.df("v_pass_rate")`, `catalog.df("SELECT ...")`. Raises: UsageError."""
        with self._users_errors():
            return self._relation(query).df()

    def _relation(self, query: str) -> Any:
        relation = self._db.sql(f'FROM "{query}"' if query.isidentifier() else _bare(query))
        if relation is None:
            raise UsageError("SQL: no query: it gives no rows")
        bits = [f'"{name}"::VARCHAR AS "{name}"' for name, kind in zip(relation.columns, relation.types, strict=True) if str(kind) == "BIT"]
        return relation.project(f"* REPLACE ({', '.join(bits)})") if bits else relation

    def names(self) -> dict[str, list[str]]:
        """Views, then tables, each with its columns."""
        found: dict[str, list[str]] = {}
        for name, column in self.rows(
                "SELECT table_name, column_name FROM information_schema.columns JOIN information_schema.tables USING (table_catalog, table_name) "
                "WHERE table_catalog = current_database() ORDER BY table_type = 'VIEW' DESC, table_name, ordinal_position"):
            found.setdefault(name, []).append(column)
        return found

    def copy_to(self, folder: Path) -> dict[str, int]:
        """Writes `catalog.duckdb`, a catalog of its own, and `NAME.parquet` of each table and view into an empty folder; rows of each.

        A writer may call it between transactions; all files are of one moment. Raises: InputError.
        """
        cursor = self._db.cursor()
        with self._named_errors(), contextlib.closing(cursor):
            [(name,)] = cursor.execute("SELECT current_database()").fetchall()
            here, copy = (_quoted(text, '"') for text in (name, f"{name} copy"))
            cursor.execute(f"ATTACH {_quoted(folder / 'catalog.duckdb')} AS {copy} (READ_WRITE, STORAGE_VERSION '{_STORAGE}')")
            try:
                cursor.execute(f"COPY FROM DATABASE {here} TO {copy}")
                cursor.execute(f"USE {copy}")
                rows: dict[str, int] = {}
                for name in self.names():
                    [(rows[name],)] = cursor.execute(f"COPY (FROM {name}) TO {_quoted(folder / f'{name}.parquet')} (FORMAT parquet)").fetchall()
            finally:
                cursor.execute(f"USE {here}")
                cursor.execute(f"DETACH {copy}")
        return rows

    @contextlib.contextmanager
    def using(self, name: str, columns: Mapping[str, Sequence[Any]]) -> Iterator[None]:
        """Makes columns readable as the table `name` to `rows`, for a join."""
        import duckdb

        self._db.register(name, _arrow(columns))
        try:
            yield
        finally:
            with contextlib.suppress(duckdb.Error):     # in an aborted transaction; the next `register` replaces it
                self._db.unregister(name)

    def _insert(self, table: str, columns: Mapping[str, Sequence[Any]]) -> None:
        with self.using("batch", columns):
            names = ", ".join(columns)
            # A BIT has no Arrow type: it comes as text of 0 and 1.
            given = ", ".join(f"{name}::BIT" if name == "passed" else name for name in columns)
            self._db.execute(f"INSERT INTO {table} ({names}) SELECT {given} FROM batch")

    @contextlib.contextmanager
    def _users_errors(self) -> Iterator[None]:
        import duckdb

        try:
            yield
        except duckdb.Error as error:
            said = _one_line(error).partition(" LINE 1:")[0]
            hint = "; SHOW TABLES lists what there is" if "Table with name" in said else ""
            raise UsageError(f"SQL: {said}{hint}") from None

    @contextlib.contextmanager
    def _named_errors(self) -> Iterator[None]:
        import duckdb

        try:
            yield
        except (duckdb.IOException, duckdb.OutOfMemoryException, duckdb.FatalException, duckdb.TransactionException) as error:
            raise InputError(f"{self.path}: cannot be written or read: {_one_line(error)}; what was committed before is safe: free "
                             "space or mend the path, then go on with --resume") from error

    def _migrate(self, read_only: bool) -> None:
        import duckdb

        ours = _migrations()
        tables = {name for (name,) in self._db.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
        if "schema_migrations" not in tables:
            if tables:
                raise CatalogError(f"{self.path}: a DuckDB file, but no catalog of assay's (it has {', '.join(sorted(tables)[:5])}); "
                                   "choose another path")
            if read_only:
                raise CatalogError(f"{self.path}: an empty DuckDB file, no catalog; `assay curate POOL --catalog {self.path}` fills it")
            done = set()
        else:
            done = {version for (version,) in self._db.execute("SELECT version FROM schema_migrations").fetchall()}
        if newer := sorted(done - {version for version, _, _ in ours}):
            raise CatalogError(f"{self.path}: written by a newer assay (schema {newer[-1]}, this one knows {ours[-1][0]}); update assay")
        todo = [migration for migration in ours if migration[0] not in done]
        if not todo:
            return
        if read_only:
            raise CatalogError(f"{self.path}: of an older version (schema {max(done)}); `assay curate --resume` brings it up to date")
        try:
            with self.transaction():
                self._db.execute("CREATE TABLE IF NOT EXISTS schema_migrations (version INTEGER NOT NULL, name VARCHAR NOT NULL)")
                for version, name, sql in todo:
                    self._db.execute(sql)
                    self._db.execute("INSERT INTO schema_migrations VALUES (?, ?)", [version, name])
        except duckdb.Error as error:
            raise CatalogError(f"{self.path}: cannot be brought up to date: {_one_line(error)}") from error


def _arrow(columns: Mapping[str, Sequence[Any]]) -> Any:
    """Columns as Arrow, typed where a column of only nulls or huge integers would be guessed wrongly."""
    import pyarrow as pa

    types = {"hash": pa.uint64(), "solutions": pa.list_(pa.uint64()), "recorded": pa.float64(), "score": pa.float64(), "tier": pa.int32(),
             "weight": pa.float64(), "memory_bytes": pa.int64(), "pid": pa.int32(), "metadata": pa.string(), "licence": pa.string(),
             "url": pa.string(), "revision": pa.string(), "sampling": pa.string(), "id": pa.string()}
    return pa.table({name: values if isinstance(values, pa.Array) else _column(values, types.get(name)) for name, values in columns.items()})


def _column(values: Sequence[Any], kind: Any) -> Any:
    """Half a surrogate pair, which is no text to a database, becomes "?": what models and programs print may hold any."""
    import pyarrow as pa

    try:
        return pa.array(values, kind)
    except UnicodeEncodeError:
        return pa.array([value.encode("utf-8", "replace").decode() if isinstance(value, str) else value for value in values], kind)


def _migrations() -> list[tuple[int, str, str]]:
    folder = Path(__file__).with_name("migrations")
    return [(int(file.name.partition("_")[0]), file.name, file.read_text()) for file in sorted(folder.glob("*.sql"))]


def _check_is_database(path: Path) -> None:
    """DuckDB opens a file of data (and ":memory:") as a database in memory: a run into it would go well, and leave nothing."""
    try:
        with open(path, "rb") as file:
            head = file.read(_MAGIC_AT + len(_MAGIC))
    except FileNotFoundError:
        head = b""
    except OSError as error:
        raise InputError(f"{path}: cannot be opened: {error.strerror}") from error
    if str(path) == ":memory:" or (head and head[_MAGIC_AT:] != _MAGIC):
        raise CatalogError(f"{path}: not a catalog (no DuckDB file); `assay curate POOL --catalog FILE` makes one")


def _opening_error(path: Path, error: Exception, read_only: bool) -> Exception:
    said = _one_line(error)
    if "Could not set lock" in said or ("lock" in said.lower() and "conflicting" in said.lower()):
        holder = said.partition("(PID ")[2].partition(")")[0]
        meanwhile = f", or read a copy meanwhile: assay snapshot {path}" if read_only else ""
        return CatalogBusy(f"{path}: in use by another process{f' (pid {holder})' if holder else ''}; wait until it has ended{meanwhile}")
    if "not a valid DuckDB" in said or "not a DuckDB" in said:
        return CatalogError(f"{path}: not a catalog (no DuckDB file); `assay curate POOL --catalog FILE` makes one")
    if "newer version" in said or "version number" in said or "storage version" in said.lower():
        return CatalogError(f"{path}: written by a newer DuckDB than this one; update duckdb: {said}")
    return InputError(f"{path}: cannot be opened: {said}")


def _bare(sql: str) -> str:
    """Without the semicolons and comments behind it, so that it may stand in parentheses."""
    import duckdb

    end = len(sql)
    for place, kind in reversed(duckdb.tokenize(sql)):
        if sql[place] != ";" and kind != duckdb.token_type.comment:
            break
        end = place
    return sql[:end]


def _quoted(text: object, mark: str = "'") -> str:
    return f"{mark}{str(text).replace(mark, mark * 2)}{mark}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
