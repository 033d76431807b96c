"""Read whole numbers of any number of bytes or bits, most significant first."""


class Reader:
    """A position in bytes, and numbers from there on.

    Args:
        data: the bytes.

    Raises:
        EOFError: in every method, where the bytes end before the number does.
    """

    def __init__(self, data: bytes | memoryview) -> None:
        self._data = memoryview(data)
        self._bit = 0

    def number(self, size: int) -> int:
        """Return the number in the next `size` bytes; 0 for none. Only between whole bytes."""
        return int.from_bytes(self.part(size), "big")

    def part(self, size: int) -> memoryview:
        """Return the next `size` bytes. Only between whole bytes."""
        begin = self._bit // 8
        self._bit += 8 * size
        part = self._data[begin : begin + size]
        if len(part) < size:
            raise EOFError
        return part

    def rest(self) -> memoryview:
        """Return the bytes from here on."""
        return self._data[self._bit // 8 :]

    def bits(self, count: int) -> int:
        """Return the number in the next `count` bits."""
        begin, end = self._bit, self._bit + count
        self._bit = end
        part = self._data[begin // 8 : (end + 7) // 8]
        if end > 8 * len(self._data):
            raise EOFError
        return int.from_bytes(part, "big") >> (-end % 8) & ((1 << count) - 1)

    def flag(self) -> bool:
        """Return the next bit."""
        return bool(self.bits(1))

    def exp_golomb(self) -> int:
        """Return the next number in exponential Golomb code, without sign: ue(v), uvlc()."""
        zeros = 0
        while not self.flag():
            zeros += 1
            if zeros > 32:  # noqa: PLR2004
                raise EOFError
        return (1 << zeros) - 1 + self.bits(zeros)
