"""Load a BPF object through libbpf.so.1 and print what the verifier says: for development only.

The shipped loader gets a bare error number from the kernel; this one shows the log. Nothing is attached or pinned.

    sudo python tools/verify_bpf.py build/descriptors.x86_64.bpf.o
"""

from __future__ import annotations

import ctypes
import os
import sys

PRINTER = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)


def main(path: str) -> int:
    """Load every program of the object; return 0 when the verifier accepts all."""
    lib = ctypes.CDLL("libbpf.so.1", use_errno=True)
    libc = ctypes.CDLL(None)

    def printer(_level: int, form: bytes, arguments: int) -> int:
        buffer = ctypes.create_string_buffer(1 << 20)
        libc.vsnprintf(buffer, len(buffer), form, ctypes.c_void_p(arguments))
        sys.stderr.buffer.write(buffer.value)
        return 0

    callback = PRINTER(printer)
    lib.libbpf_set_print(callback)
    lib.bpf_object__open_file.restype = ctypes.c_void_p
    lib.bpf_object__load.argtypes = [ctypes.c_void_p]
    handle = lib.bpf_object__open_file(path.encode(), None)
    if not handle:
        print(f"cannot open {path}: {os.strerror(ctypes.get_errno())}")
        return 2
    failed = lib.bpf_object__load(handle)
    print("refused" if failed else "accepted")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
