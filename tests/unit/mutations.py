"""What spoils bytes: blind changes, and such that know what numbers, lengths, JSON and frames look like."""

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

_NUMBERS = (0, 1, 2**7, 2**15, 2**31 - 1, 2**31, 2**32, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 1)
_NUMERALS = (
    b"-1",
    b"-0",
    b"1e400",
    b"-1e-400",
    b"NaN",
    b"Infinity",
    b"0x10",
    b"00",
    b"1.",
    b"9" * 5000,
    b"2e63",
)
_BYTES = (0x00, 0x01, 0x7F, 0x80, 0xFE, 0xFF, *b'"\\{}[],:-')
_PIECES = (
    *(
        b"\x00",
        b"\xff" * 10,
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\\ud800",
        b"\\u0000",
        b"\xef\xbb\xbf",
        b"\x0b",
    ),
    *(
        b"null",
        b"true",
        b"[]",
        b"{}",
        b'""',
        b"[[]]",
        b'{"a":',
        b"2026-02-30T25:61:61Z",
        b"0001-01-01T00:00:00+23:59",
    ),
)
_LONGEST_BOMB = 200_000  # bytes

Change = Callable[[bytes, Random], bytes]


def mutate(value: bytes, random: Random, corpus: Sequence[bytes]) -> bytes:
    """The bytes after one or some changes; `corpus` is what parts of others are taken from."""
    for _ in range(random.choice((1, 1, 1, 2, 2, 3, 6))):
        change = random.choice(_CHANGES)
        value = (
            change(value, random) if random.random() < 0.9 else _splice(value, random.choice(corpus), random)
        )
    return value


def anything(random: Random) -> bytes:
    """Bytes of no form, now and then in a frame."""
    head = random.choice((b"", b"\x00\x00\x00\x00\x01", b"\x00\x00\x00\x00\x02\x00", b"{", b"["))
    return head + random.randbytes(random.choice((0, 1, 4, 5, 6, 20, 200)))


def number(random: Random) -> int:
    """A number that something may be afraid of."""
    return random.choice((1, -1)) * (random.choice(_NUMBERS) + random.choice((-1, 0, 0, 1)))


def varint(number: int) -> bytes:
    """A number of at most 64 bits as Protobuf writes it, and Avro after a zigzag."""
    number &= 2**64 - 1
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*written, number])


def bomb(piece: bytes, random: Random) -> bytes:
    """A piece many times: elements, braces, or a count of them."""
    size = random.choice((100, 5000, 5000, _LONGEST_BOMB))
    return piece * max(1, size // max(1, len(piece)))


def _cut(value: bytes, random: Random) -> tuple[int, int]:
    """A part of the bytes, a short one more often than a long one."""
    begin = random.randint(0, len(value))
    return begin, min(len(value), begin + random.choice((0, 1, 1, 2, 4, 8, 32, len(value))))


def _flip(value: bytes, random: Random) -> bytes:
    if not value:
        return value
    at = random.randrange(len(value))
    return value[:at] + bytes([value[at] ^ 1 << random.randrange(8)]) + value[at + 1 :]


def _put(value: bytes, random: Random) -> bytes:
    at = random.randint(0, len(value))
    return value[:at] + bytes([random.choice(_BYTES)]) + value[at + 1 :]


def _truncate(value: bytes, random: Random) -> bytes:
    return value[: random.randint(0, len(value))]


def _delete(value: bytes, random: Random) -> bytes:
    begin, end = _cut(value, random)
    return value[:begin] + value[end:]


def _insert(value: bytes, random: Random) -> bytes:
    at = random.randint(0, len(value))
    piece = random.choice((random.choice(_PIECES), random.randbytes(random.randint(1, 8))))
    return value[:at] + piece + value[at:]


def _repeat(value: bytes, random: Random) -> bytes:
    begin, end = _cut(value, random)
    piece = value[begin:end] or b"\x00"
    many = bomb(piece, random) if random.random() < 0.05 else piece * random.randint(1, 5)
    return value[:end] + many + value[end:]


def _splice(value: bytes, other: bytes, random: Random) -> bytes:
    begin, end = _cut(other, random)
    at, until = _cut(value, random)
    return value[:at] + other[begin:end] + value[until:]


def _length(value: bytes, random: Random) -> bytes:
    """Another number where a length, a count or an index may be."""
    at = random.randint(0, len(value))
    return value[:at] + varint(number(random)) + value[at + 1 :]


def _numeral(value: bytes, random: Random) -> bytes:
    at = next(
        (at for at in random.sample(range(len(value)), len(value)) if value[at : at + 1].isdigit()), None
    )
    if at is None:
        return value
    end = at + 1
    while value[end : end + 1].isdigit():
        end += 1
    return value[:at] + random.choice((*_NUMERALS, b"%d" % number(random))) + value[end:]


def _reframe(value: bytes, random: Random) -> bytes:
    """Another schema's id, one that nobody knows, no frame, or one too many."""
    head = b"\x00" + random.choice(
        (random.randrange(12), 2**31, 2**32 - 1, random.randrange(2**32))
    ).to_bytes(4)
    rest = value[5:] if value[:1] == b"\x00" else value
    return random.choice((head + rest, head + value, rest, b"\x01" + value[1:]))


def _nest(value: bytes, random: Random) -> bytes:
    opening = random.choice((b"[", b'{"a":', b"\x0b", b'{"order":', b"\x02", b"(", b"message a{"))
    at = random.randint(0, len(value))
    return value[:at] + bomb(opening, random) + value[at:]


def _json(value: bytes, random: Random) -> bytes:
    """A value somewhere in the tree becomes another, or a field comes twice, or one too many."""
    head = value[:5] if value[:1] == b"\x00" else b""
    try:
        tree = json.loads(value[len(head) :])
    except (ValueError, RecursionError):
        return value
    return head + json.dumps(change_tree(tree, random, _leaf), ensure_ascii=random.random() < 0.5).encode(
        errors="replace"
    )


def _leaf(random: Random) -> Any:
    return random.choice(
        (
            None,
            True,
            "",
            "x" * 300,
            "\0",
            "é" * 70,
            [],
            {},
            [[]],
            {"": {}},
            0.1 + 0.2,
            -0.0,
            1e-320,
            10**400,
            number(random),
        )
    )


def change_tree(tree: Any, random: Random, leaf: Callable[[Random], Any]) -> Any:
    """JSON with one change somewhere in it."""
    inner = tree if isinstance(tree, dict | list) and tree and random.random() < 0.8 else None
    if inner is None:
        return random.choice((leaf(random), leaf(random), [tree], {"a": tree}))
    keys: list[Any] = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
    at = random.choice(keys)
    changed: Any = dict(inner) if isinstance(inner, dict) else list(inner)
    match random.randrange(6):
        case 0:
            del changed[at]
        case 1 if isinstance(changed, dict):
            changed[random.choice(("surprise", "", "order", at + "2"))] = leaf(random)
        case 1:
            changed.extend(changed[:1] * random.choice((1, 3, 200)))
        case 2:
            changed[at] = inner[random.choice(keys)]
        case _:
            changed[at] = change_tree(inner[at], random, leaf)
    return changed


_CHANGES: tuple[Change, ...] = (
    *(
        _flip,
        _flip,
        _put,
        _put,
        _truncate,
        _delete,
        _insert,
        _repeat,
        _length,
        _length,
        _numeral,
        _reframe,
        _nest,
    ),
    *(_json, _json, _json),
)
