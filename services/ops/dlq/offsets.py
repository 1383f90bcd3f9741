"""Which offsets of a partition, in little memory."""

_WIDTH = 4096  # offsets in one piece


class OffsetSet:
    """A set of offsets: a bit each, in pieces that are only there where something is set.

    A million neighbours take a fifth of a megabyte, where a set of numbers takes sixty.
    """

    def __init__(self) -> None:
        self._pieces: dict[int, int] = {}

    def add(self, offset: int) -> None:
        piece, bit = divmod(offset, _WIDTH)
        self._pieces[piece] = self._pieces.get(piece, 0) | 1 << bit

    def __contains__(self, offset: int) -> bool:
        piece, bit = divmod(offset, _WIDTH)
        return bool(self._pieces.get(piece, 0) >> bit & 1)
