"""PostgreSQL's own grammar (libpg_query through postgast): scan, parse, regenerate, compare.

The C library recurses on deep trees and would end the process, so text reaches ``parse`` only after the
text and token rules passed. ``scan`` is an iterative lexer and safe on any bounded text.
"""

import ctypes
from collections.abc import Callable
from functools import cached_property
from importlib import import_module, resources
from typing import Any, NamedTuple

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory  # type: ignore[import-untyped]
from postgast import PgQueryError, scan
from postgast.errors import check_error
from postgast.native import PgQueryProtobuf, lib

# Message classes and enum values, built when imported; the stub beside them is not valid Python.
pg: Any = import_module("postgast.pg_query_pb2")

# A protobuf message of the parse tree; postgast ships no types that mypy can follow.
Node = Any

_LOCATION_FIELDS = frozenset(
    {
        "location",
        "name_location",
        "stmt_location",
        "stmt_len",
        "list_start",
        "list_end",
        "rexpr_list_start",
        "rexpr_list_end",
    }
)


class GrammarError(Exception):
    """PostgreSQL's grammar refuses the text. ``position`` counts characters, None if unknown."""

    def __init__(self, reason: str, position: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.position = position


class Token(NamedTuple):
    """One lexical token; offsets in characters of the text. ``word`` is the text in lower case."""

    kind: int
    text: str
    word: str
    start: int
    end: int


class Source:
    """A statement's text with byte offsets, which the C library counts in, turned into character offsets."""

    def __init__(self, sql: str) -> None:
        self.sql = sql
        self.data = sql.encode("utf-8")

    @cached_property
    def _ascii(self) -> bool:
        return len(self.data) == len(self.sql)

    def character(self, byte: int) -> int:
        """Offset in characters of an offset in bytes."""
        return byte if self._ascii else len(self.data[:byte].decode("utf-8", "replace"))

    def tokens(self) -> tuple[Token, ...]:
        """The text's tokens, comments included.

        Raises:
            GrammarError: a literal, identifier or comment does not end.
        """
        try:
            found = scan(self.sql).tokens
        except PgQueryError as fault:
            raise self.error(fault) from fault
        if self._ascii:
            # As Token(…) does, at half its price.
            sql, new = self.sql, tuple.__new__
            places = [(t.token, t.start, t.end) for t in found]
            return tuple(
                [
                    new(Token, (k, text := sql[start:end], text.lower(), start, end))
                    for k, start, end in places
                ]
            )
        return tuple(
            Token(
                t.token,
                text := self.data[t.start : t.end].decode("utf-8", "replace"),
                text.lower(),
                self.character(t.start),
                self.character(t.end),
            )
            for t in found
        )

    def error(self, fault: PgQueryError) -> GrammarError:
        position = self.character(fault.cursorpos - 1) if fault.cursorpos > 0 else None
        return GrammarError(str(fault.message), position)


def parse(source: Source) -> tuple[Node, bytes]:
    """The parse tree and its serialized form.

    Raises:
        GrammarError: a syntax error, or a tree nested deeper than protobuf reads (about 45 levels).
    """
    data = serialized(source)
    return _decoded(pg.ParseResult, data), data


def serialized(source: Source) -> bytes:
    """The parse tree in its serialized form alone.

    Raises:
        GrammarError: a syntax error.
    """
    result = lib.pg_query_parse_protobuf(source.data)
    try:
        check_error(result)
        return ctypes.string_at(result.parse_tree.data, result.parse_tree.len)
    except PgQueryError as fault:
        raise source.error(fault) from fault
    finally:
        lib.pg_query_free_protobuf_parse_result(result)


def _decoded(kind: Any, data: bytes) -> Node:
    try:
        return kind.FromString(data)
    except Exception as fault:
        raise GrammarError("the statement is nested too deeply") from fault


def regenerate(data: bytes) -> str:
    """SQL text of a serialized parse tree, written by libpg_query's C deparser.

    Raises:
        GrammarError: the tree cannot be written.
    """
    # A view of the bytes, which this call holds until it is through.
    message = PgQueryProtobuf(len=len(data), data=ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value)
    result = lib.pg_query_deparse_protobuf(message)
    try:
        check_error(result)
        return str(result.query.decode("utf-8"))
    except PgQueryError as fault:
        raise GrammarError(str(fault.message)) from fault
    finally:
        lib.pg_query_free_deparse_result(result)


# Descriptors answer slowly in Python, and a tree asks them thousands of times.
SCALAR, ONE, MANY = range(3)
_SHAPES: dict[Any, int] = {}


def field_shape(field: Any) -> int:
    """SCALAR, or whether the field holds ONE or MANY messages."""
    shape = _SHAPES.get(field)
    if shape is None:
        shape = SCALAR if field.message_type is None else MANY if field.is_repeated else ONE
        _SHAPES[field] = shape
    return shape


def children(message: Node) -> list[Node]:
    """The messages directly below a message, in field order."""
    if message.__class__ is pg.Node:
        # Every second message is one, and asking what it holds is quicker than to list its fields.
        kind = message.WhichOneof("node")
        return [] if kind is None else [getattr(message, kind)]
    found: list[Node] = []
    for field, value in message.ListFields():
        shape = _SHAPES.get(field)
        if shape is None:
            shape = field_shape(field)
        if shape == ONE:
            found.append(value)
        elif shape == MANY:
            found.extend(value)
    return found


def unwrap(node: Node) -> Node:
    """The concrete message inside a ``Node`` wrapper."""
    kind = node.WhichOneof("node")
    if kind is None:
        raise GrammarError("the tree holds an empty node")
    return getattr(node, kind)


def strings(nodes: Any) -> tuple[str, ...]:
    """The values of a list of String nodes, such as a qualified name.

    Raises:
        GrammarError: an element is not a string.
    """
    values = []
    for node in nodes:
        if node.WhichOneof("node") != "string":
            raise GrammarError("a name holds something other than names")
        values.append(node.string.sval)
    return tuple(values)


def _parse_result_class(change: Callable[[Any], bool]) -> Any:
    """ParseResult of a schema in which ``change`` was called for each location field, to change it or to say
    that it goes.
    """
    files = descriptor_pb2.FileDescriptorSet.FromString(
        resources.files("postgast").joinpath("pg_query.desc").read_bytes()
    )
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        for message in file.message_type:
            kept = [f for f in message.field if f.name not in _LOCATION_FIELDS or change(f)]
            del message.field[:]
            message.field.extend(kept)
        pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("pg_query.ParseResult"))


def _left_out(_: Any) -> bool:
    return False


def _as_flag(field: Any) -> bool:
    field.type = field.TYPE_BOOL
    return True


# So that C code can compare trees. A place read as a truth value is true wherever the text goes on, so that
# nearly all equal trees have equal bytes, which are compared four times as fast as messages.
_WithFlags = _parse_result_class(_as_flag)
_LocationFree = _parse_result_class(_left_out)


def same_tree(left: bytes, right: bytes) -> bool:
    """Whether two serialized trees are equal but for the places in the text.

    Raises:
        GrammarError: a tree is nested too deeply to be read.
    """
    if _with_flags(left) == _with_flags(right):
        return True
    # Of two equal trees one may have at the very start what the other has behind a comment.
    trees = []
    for data in (left, right):
        tree = _decoded(_LocationFree, data)
        tree.DiscardUnknownFields()
        trees.append(tree)
    return bool(trees[0] == trees[1])


def _with_flags(data: bytes) -> bytes:
    return bytes(_decoded(_WithFlags, data).SerializeToString())
