"""What machine code of Go says about locks; that real goroutines are told right is the matter of tests/live/test_waits.py."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from leadline.probes.snapshot_runtime.lock_holders import _Frame, _Past

# LEAQ main.upgradeLock+12(SB), AX; XORL BX, BX; XORL CX, CX; CALL sync.runtime_SemacquireRWMutexR(SB)
GLOBAL = bytes.fromhex("488d0510ae1700 31db 31c9 e8dbaef5ff".replace(" ", ""))
GLOBAL_AT = 0x5257D5
LOCK_AT = 0x5257D5 + 7 + 0x17AE10
# LOCK CMPXCHGL SI, 0x38(DX); SETE SI; TESTL SI, SI; JNE; MOVQ CX, AX; NOPL; CALL internal/sync.(*Mutex).lockSlow(SB)
MEMBER = bytes.fromhex("f00fb17238 400f94c6 4084f6 7517 4889c8 0f1f440000 e81b3ff6ff".replace(" ", ""))
# LOCK XADDL BX, 0x38(DX); DECL BX; JE; MOVQ CX, AX; CALL internal/sync.(*Mutex).unlockSlow(SB)
RELEASE = bytes.fromhex("f00fc15a38 ffcb 7408 4889c8 e8d241f6ff".replace(" ", ""))
# LOCK XADDL DX, 0x50(AX); INCL DX; TESTL DX, DX; JGE; MOVQ AX, 0x48(SP); ADDQ $0x4c, AX; XORL BX, BX; XORL CX, CX; NOPL; CALL
READ = bytes.fromhex(
    "f00fc15050 ffc2 85d2 7d1c 4889442448 4883c04c 31db 31c9 0f1f440000 e81bb4f5ff".replace(" ", "")
)
# MOVQ 0x8(SP), AX; CALL sync.(*RWMutex).Lock(SB)
PLAIN = bytes.fromhex("488b442408 e8f74bf6ff".replace(" ", ""))


def frame(*parts: bytes, unlocks: tuple[int, ...] = (), first: int = 0x400000) -> _Frame:
    """Return a frame behind these pieces of code, each of which ends with a call; those numbered unlock."""
    ends = np.cumsum([len(part) for part in parts]).tolist()
    calls = [first + end - 4 for end in ends]
    return _Frame(
        first,
        np.frombuffer(b"".join(parts), np.uint8),
        tuple(call for number, call in enumerate(calls) if number not in unlocks),
        tuple(call for number, call in enumerate(calls) if number in unlocks),
    )


def test_a_global_is_told_by_the_operand_before_the_call() -> None:
    code = frame(GLOBAL, first=GLOBAL_AT)
    assert code.of_global(LOCK_AT, LOCK_AT + 4) is _Past.LOCKED
    assert code.of_global(LOCK_AT - 12, LOCK_AT + 12) is _Past.LOCKED
    assert code.of_global(LOCK_AT + 4, LOCK_AT + 400) is None


def test_a_member_is_told_by_its_distance() -> None:
    code = frame(MEMBER)
    assert code.of_member(0x38, 0) is _Past.LOCKED
    assert code.of_member(0x40, 0) is None
    assert code.of_member(0, 0) is None


def test_a_reader_counts_sixteen_bytes_into_the_lock() -> None:
    assert frame(READ).of_member(0x40, 16) is _Past.LOCKED
    assert frame(READ).of_member(0x38, 16) is None


def test_a_lock_without_displacement_is_the_pointer_itself() -> None:
    assert frame(PLAIN).of_member(0, 16) is _Past.LOCKED
    assert frame(PLAIN).of_member(8, 16) is None


def test_an_unlock_after_the_lock_releases_and_one_of_another_lock_does_not() -> None:
    assert frame(MEMBER, RELEASE, unlocks=(1,)).of_member(0x38, 0) is _Past.RELEASED
    assert frame(RELEASE, MEMBER, unlocks=(0,)).of_member(0x38, 0) is _Past.LOCKED
    assert frame(MEMBER, b"\x90" * 48, GLOBAL, unlocks=(2,)).of_member(0x38, 0) is _Past.LOCKED


def test_code_that_locks_nothing_says_nothing() -> None:
    assert frame(RELEASE, unlocks=(0,)).of_any() is None
    assert frame(MEMBER).of_any() is _Past.LOCKED


@given(st.binary(min_size=5, max_size=90), st.integers(-200, 200))
def test_any_code_gives_an_answer(code: bytes, distance: int) -> None:
    assert frame(code).of_member(distance, 16) in {_Past.LOCKED, None}
    assert frame(code).of_global(0, 1 << 40) in {_Past.LOCKED, None}
