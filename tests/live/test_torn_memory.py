"""The readers of locks and pools on memory that changes under their hands: they answer in time, and name real goroutines."""

from __future__ import annotations

import random
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import go_truth
import symbol_twins as twins_of
from leadline.host import LiveHost
from leadline.model import Unsupported
from leadline.probes.snapshot_runtime import pollers, sql_pools, waits
from leadline.probes.snapshot_runtime.looks import Found

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from leadline.probes.snapshot_runtime.looks import Words

ROUNDS = 40
MOST_S = 5.0


class Torn:
    """Memory of a process of which a part of all reads comes back with other words, or short."""

    def __init__(self, real: Any, chance: random.Random, share: float) -> None:
        self._real = real
        self._chance = chance
        self._share = share

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def _torn(self, raw: bytes) -> bytes:
        if self._chance.random() >= self._share or len(raw) < 8:
            return raw
        torn = bytearray(raw)
        for _ in range(self._chance.randint(1, 6)):
            place = self._chance.randrange(len(torn) // 8) * 8
            words = [bytes(8), b"\xff" * 8, self._chance.randbytes(8), bytes(torn[:8])]
            torn[place : place + 8] = self._chance.choice(words)
        return bytes(torn[: self._chance.choice([len(torn), self._chance.randrange(len(torn))])])

    def read(self, address: int, size: int) -> bytes:
        return self._torn(self._real.read(address, size))

    def words(self, address: int, count: int) -> Words:
        raw = self._torn(self._real.words(address, count).tobytes())
        return np.frombuffer(raw[: len(raw) // 8 * 8], np.uint64)

    def word(self, address: int) -> int:
        if self._chance.random() < self._share:
            return self._chance.choice([0, 1 << 63, self._chance.getrandbits(64), address])
        return int(self._real.word(address))

    def gather(self, addresses: Words, size: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        rows, is_read = self._real.gather(addresses, size)
        torn = [self._torn(row.tobytes()).ljust(size, b"\0") for row in rows]
        return np.frombuffer(b"".join(torn), np.uint8).reshape(rows.shape).copy(), is_read


class Process:
    """A process with torn memory."""

    def __init__(self, real: Any, memory: Torn) -> None:
        self._real = real
        self.memory = memory

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["locks", "sqlpool"])
def test_torn_memory_gives_real_goroutines_or_nothing(name: str, tmp_path: Path) -> None:
    go = twins_of.installed_go()
    if go is None:
        pytest.skip("no Go toolchain here; remedy: install Go 1.21 or later")
    program = go_truth.build(name, go, tmp_path, stripped=True)
    with go_truth.running(program, 20) as truth:
        pollers.read(LiveHost(), truth.process, truth.look, truth.found)
        real = set(truth.look.goids.tolist())
        for seed in range(ROUNDS):
            chance = random.Random(seed)
            memory = Torn(truth.process.memory, chance, chance.choice([0.01, 0.1, 0.5]))
            process: Any = Process(truth.process, memory)
            for reader in (waits, sql_pools):
                found = Found(uses=dict(truth.found.uses))
                begun_s = time.monotonic()
                with suppress(Unsupported):  # a heap that cannot be read is said to be so
                    reader.read(process, truth.look, found)
                assert time.monotonic() - begun_s < MOST_S
                told = [
                    goid for one in found.objects for goid in (*one.receivers, *one.senders, *one.waiters)
                ]
                told += [goid for one in found.objects for goid in one.holders]
                told += [goid for pool in found.pools for goid in pool.waiting_goids]
                assert set(told) <= real
