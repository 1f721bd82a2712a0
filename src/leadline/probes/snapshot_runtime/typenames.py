"""Names of Go types from their descriptors in a process's memory.

Source: Go, src/internal/abi/type.go (Type, Name, ITab), src/runtime/type.go (resolveNameOff, rtype.string).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from leadline.probes.snapshot_runtime.looks import Memory

__all__ = ["TypeNames"]

_FLAG_EXTRA_STAR = 2
_TYPE_BYTES = 48
_HASH_AT = 16  # of Type and of ITab alike, which repeats its type's
_ITAB_TYPE_AT = 8
_KIND_AT, _KIND_MASK, _INTERFACE = 23, 31, 20
_MAX_NAME_BYTES = 4096
_MAX_KNOWN = 100_000


class TypeNames:
    """Names by address.

    Args:
        memory: of the process.
        first, end: run-time addresses between which its types lie.
        text_at, flags_at: offsets of ``abi.Type.Str`` and ``TFlag``; None: no type is named.
    """

    def __init__(
        self, memory: Memory, *, first: int, end: int, text_at: int | None, flags_at: int | None
    ) -> None:
        self._memory = memory
        self._first = first
        self._end = end
        self._text_at = text_at
        self._flags_at = flags_at
        self._known: dict[int, str | None] = {}
        self._tables: dict[int, int] = {}

    def name(self, address: int) -> str | None:
        """Return the name of the type described at an address, None when no type is there."""
        if address % 8 or not self._first <= address <= self._end - _TYPE_BYTES:
            return None
        if address not in self._known:
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            self._known[address] = self._read(address)
        return self._known[address]

    def of_interface(self, word: int, *, is_empty: bool) -> str | None:
        """Return the dynamic type by the first word of an interface value, None for nil and what is no such word.

        An itab repeats the hash of its type, which is compared; one that the runtime made has none.
        """
        return self.name(word if is_empty else self.type_of_itab(word))

    def type_of_itab(self, itab: int) -> int:
        """Return the address of the type that an itab is about, 0 when it is none."""
        if itab % 8 or itab <= 0:
            return 0
        known = self._tables.get(itab)
        if known is None:
            if len(self._tables) >= _MAX_KNOWN:
                self._tables.clear()
            known = self._tables[itab] = self._read_itab(itab)
        return known

    def _read_itab(self, itab: int) -> int:
        raw = self._memory.read(itab, _HASH_AT + 4)
        if len(raw) < _HASH_AT + 4:
            return 0
        found = int.from_bytes(raw[_ITAB_TYPE_AT : _ITAB_TYPE_AT + 8], "little")
        if not self._first <= found <= self._end - _TYPE_BYTES:
            return 0
        if self._memory.read(found + _HASH_AT, 4) == raw[_HASH_AT:]:
            return found
        # What the runtime makes at run time (getitab) has no hash; its first word must then be a type of interface kind.
        inter = int.from_bytes(raw[:_ITAB_TYPE_AT], "little")
        is_made = not any(raw[_HASH_AT:]) and self._first <= inter <= self._end - _TYPE_BYTES
        kind = self._memory.read(inter + _KIND_AT, 1) if is_made else b""
        return found if kind and kind[0] & _KIND_MASK == _INTERFACE else 0

    def _read(self, address: int) -> str | None:
        raw = self._memory.read(address, _TYPE_BYTES)
        if len(raw) < _TYPE_BYTES or self._text_at is None or self._flags_at is None:
            return None
        offset = int.from_bytes(raw[self._text_at : self._text_at + 4], "little")
        at = self._first + offset
        if not 0 < offset < self._end - self._first:
            return None
        head = self._memory.read(at, 4)
        size = shift = 0
        used = 1
        for byte in head[1:]:
            size |= (byte & 0x7F) << shift
            shift += 7
            used += 1
            if byte < 0x80:
                break
        if not 0 < size <= _MAX_NAME_BYTES:
            return None
        name = self._memory.text(at + used, size)
        if name is None or not name.isprintable():
            return None
        has_star = raw[self._flags_at] & _FLAG_EXTRA_STAR
        return name[1:] if has_star and name.startswith("*") else name
