"""proc/sys files of one number or one row of numbers."""

from __future__ import annotations

from dataclasses import dataclass

from leadline.model import Malformed

__all__ = ["FileNr", "parse_file_nr", "parse_number"]


@dataclass(frozen=True, slots=True)
class FileNr:
    """Open file descriptions of the whole host (not descriptors: duplicates count once), and their limit."""

    allocated: int
    maximum: int


def parse_file_nr(text: bytes) -> FileNr:
    r"""Return the first and third column of proc/sys/fs/file-nr; the second has been 0 since Linux 2.6.

    >>> parse_file_nr(b"1316\t0\t9223372036854775807\n")
    FileNr(allocated=1316, maximum=9223372036854775807)

    Raises:
        Malformed: not three numbers.

    Source: Linux fs/file_table.c, proc_nr_files; Documentation/admin-guide/sysctl/fs.rst.
    """
    words = text.split()
    if len(words) != 3:
        raise Malformed("proc/sys/fs/file-nr", "not three numbers", offset_bytes=0, sample=text)
    return FileNr(
        parse_number(words[0], "proc/sys/fs/file-nr"), parse_number(words[2], "proc/sys/fs/file-nr")
    )


def parse_number(text: bytes, source: str) -> int:
    r"""Return the one decimal number of a file such as proc/sys/fs/nr_open.

    >>> parse_number(b"1048576\n", "proc/sys/fs/nr_open")
    1048576

    Raises:
        Malformed: anything else.
    """
    word = text.strip()
    digits = word[1:] if word.startswith(b"-") else word
    if not digits.isdigit() or len(digits) > 20:
        raise Malformed(source, "not a number", offset_bytes=0, sample=text)
    return int(word)
