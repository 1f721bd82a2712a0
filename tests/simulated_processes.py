"""Simulated processes, healthy and leaking, for measuring how often the leak rules are right.

Each function adds one birthplace to a scene, with parameters drawn from the seeded generator it is given.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable

from evidence_builders import HTTP_DIAL, Place, Scene, poisson, steady

__all__ = [
    "HEALTHY",
    "LEAKING",
    "Process",
    "batch",
    "capped_cache",
    "churn",
    "keep_alive_pool",
    "log_rotation",
]

Process = Callable[[random.Random, Scene], None]


def _log_uniform(rng: random.Random, low: float, high: float) -> float:
    return math.exp(rng.uniform(math.log(low), math.log(high)))


# --- healthy ----------------------------------------------------------------------------------------------------------


def churn(rng: random.Random, scene: Scene) -> None:
    """Opened and closed at random, exponential lifetimes up to a fifth of the window."""
    place = scene.place("file", "opened")
    mean_s = _log_uniform(rng, 0.0005, scene.window_s / 5)
    for born_s in poisson(rng, _log_uniform(rng, 1, 60), -5 * mean_s, scene.window_s):
        place.live(born_s, born_s + rng.expovariate(1 / mean_s))


def heavy_tail(rng: random.Random, scene: Scene) -> None:
    """Mostly short, some much longer: lognormal lifetimes."""
    place = scene.place("file", "opened")
    for born_s in poisson(rng, _log_uniform(rng, 2, 60), -scene.window_s, scene.window_s):
        place.live(born_s, born_s + min(rng.lognormvariate(math.log(0.01), 1.7), scene.window_s / 2))


def long_tasks(rng: random.Random, scene: Scene) -> None:
    """Lifetimes as long as the window and longer, in a process that has been running for long."""
    place = scene.place("file", "opened")
    mean_s = scene.window_s * _log_uniform(rng, 0.5, 5)
    for born_s in poisson(rng, _log_uniform(rng, 16, 80) / mean_s, -8 * mean_s, scene.window_s):
        died_s = born_s + rng.expovariate(1 / mean_s)
        if died_s > 0:
            place.live(born_s, died_s)


def batch(rng: random.Random, scene: Scene) -> None:
    """Opens many, one by one or at once, and closes all of them; at least three times in the window."""
    place = scene.place("file", "opened")
    period_s = rng.uniform(0.5, scene.window_s / 3.2)
    opening = rng.choice([0.01, 0.3, 0.9])
    begin_s = -rng.uniform(0, period_s)
    while begin_s < scene.window_s:
        end_s = begin_s + 0.95 * period_s
        for born_s in steady(rng.choice([7, 40, 200]), begin_s, begin_s + opening * period_s):
            place.live(born_s, end_s)
        begin_s += period_s


def ramp_up(rng: random.Random, scene: Scene) -> None:
    """More and more requests, each short."""
    place = scene.place("file", "opened")
    mean_s = _log_uniform(rng, 0.01, scene.window_s / 15)
    top = rng.uniform(20, 80)
    for born_s in poisson(rng, top, 0, scene.window_s):
        if rng.random() < born_s / scene.window_s:
            place.live(born_s, born_s + rng.uniform(0.2, 1.8) * mean_s)


def capped_cache(rng: random.Random, scene: Scene) -> None:
    """An LRU cache of open files that is full before the middle of the window."""
    place = scene.place("file", "opened")
    cap, keys = rng.choice([8, 16, 40]), rng.choice([60, 300])
    weights = [1 / (rank + 1) ** 0.7 for rank in range(keys)]
    rate = cap / scene.window_s * rng.uniform(4, 12)
    cache: dict[int, float] = {}
    for at_s in poisson(rng, rate, 0, scene.window_s):
        (key,) = rng.choices(range(keys), weights)
        born_s = cache.pop(key, None)
        cache[key] = at_s if born_s is None else born_s
        if len(cache) > cap:
            oldest = next(iter(cache))
            place.live(cache.pop(oldest), at_s)
    for born_s in cache.values():
        place.live(born_s)


def pool_filling(rng: random.Random, scene: Scene) -> None:
    """A keep-alive pool under traffic that grows for a while, or all the time."""
    until_s = rng.choice([0.0, scene.window_s / 3, scene.window_s])
    keep_alive_pool(
        rng, scene, rate=_log_uniform(rng, 20, 80), busy_s=rng.uniform(0.02, 0.15), ramp_until_s=until_s
    )


def small_pool(rng: random.Random, scene: Scene) -> None:
    """A keep-alive pool of two under more traffic than two can carry: dials all the time."""
    keep_alive_pool(rng, scene, rate=rng.uniform(20, 60), busy_s=0.1, cap=2)


def websockets(rng: random.Random, scene: Scene) -> None:
    """Clients come all the time and stay, some leave."""
    place = scene.place("tcp", "accepted")
    for born_s in poisson(rng, _log_uniform(rng, 2, 60), -5, scene.window_s):
        leaves = rng.random() < 0.1
        place.live(born_s, born_s + rng.uniform(0.1, 20) if leaves else math.inf, local_port=8080)


def impatient_clients(rng: random.Random, scene: Scene) -> None:
    """Clients give up; the handler notices within half a second: some CLOSE_WAIT at any time."""
    place = scene.place("tcp", "accepted")
    for born_s in poisson(rng, rng.uniform(20, 80), -2, scene.window_s):
        died_s = born_s + rng.uniform(0.1, 0.8)
        place.live(born_s, died_s, local_port=8080, state="CLOSE_WAIT", since_ack_s=rng.uniform(0, 0.5))


def start_up(rng: random.Random, scene: Scene) -> None:
    """Opened once in the first moment."""
    place = scene.place("eventpoll", "created")
    place.all(rng.uniform(0, 0.1) * scene.window_s for _ in range(rng.randint(1, 12)))


def log_rotation(rng: random.Random, scene: Scene) -> None:
    """A new file replaces the old one."""
    place = scene.place("file", "opened")
    every_s = rng.uniform(0.5, 5)
    born_s = -rng.uniform(0, every_s)
    while born_s < scene.window_s:
        place.live(born_s, born_s + every_s + 0.01, path="/var/log/service.log")
        born_s += every_s


def children(rng: random.Random, scene: Scene) -> None:
    """Pipes to child processes that end."""
    place = scene.place("pipe", "created")
    for born_s in poisson(rng, rng.uniform(0.5, 5), 0, scene.window_s):
        died_s = born_s + rng.uniform(0.1, 2)
        place.live(born_s, died_s)
        place.live(born_s, died_s)


def workers(rng: random.Random, scene: Scene) -> None:
    """Raw connections, one more every moment, all talking."""
    place = scene.place("tcp", "dialed")
    for born_s in poisson(rng, _log_uniform(rng, 1, 20), 0, scene.window_s):
        place.live(born_s, last_data_s=max(scene.window_s - rng.uniform(0, 0.3), born_s))


def finalizers(rng: random.Random, scene: Scene) -> None:
    """Dropped and closed by the garbage collector now and then."""
    place = scene.place("tcp", "dialed")
    every_s = rng.uniform(1, scene.window_s / 4)
    phase_s = rng.uniform(0, every_s)
    for born_s in poisson(rng, rng.uniform(5, 20), 0, scene.window_s):
        died_s = (math.floor((born_s - phase_s) / every_s) + 1) * every_s + phase_s
        place.live(born_s, died_s)


# --- leaking ----------------------------------------------------------------------------------------------------------


def pure_leak(rng: random.Random, scene: Scene) -> None:
    """None is ever closed; at random times, eight or more expected to be far more likely than fewer."""
    place = scene.place(rng.choice(["file", "pipe", "eventfd", "inotify"]), "created")
    place.all(poisson(rng, _log_uniform(rng, 18, 400) / scene.window_s, -3, scene.window_s))


def planted(rng: random.Random, scene: Scene) -> None:
    """Twenty-three at 2/s, then nothing."""
    place = scene.place("file", "opened")
    begin_s = rng.uniform(0.1, 1.0)
    place.all(steady(23, begin_s, begin_s + 11.5))


def few_but_clean(rng: random.Random, scene: Scene) -> None:
    """Five at even intervals over the window, none closed."""
    place = scene.place("file", "opened")
    place.all(steady(5, rng.uniform(0, 0.1) * scene.window_s, scene.window_s))


def some_of_many(rng: random.Random, scene: Scene) -> None:
    """Most are closed at once, a few never."""
    place = scene.place("file", "opened")
    mean_s = _log_uniform(rng, 0.0005, scene.window_s / 60)
    share = rng.uniform(0.02, 0.3)
    for born_s in poisson(rng, 20 / share / scene.window_s, -2, scene.window_s):
        place.live(born_s, math.inf if rng.random() < share else born_s + rng.expovariate(1 / mean_s))


def late_start(rng: random.Random, scene: Scene) -> None:
    """Begins in the middle of the window."""
    place = scene.place("file", "opened")
    place.all(poisson(rng, 60 / scene.window_s, rng.uniform(0.2, 0.5) * scene.window_s, scene.window_s))


def in_bursts(rng: random.Random, scene: Scene) -> None:
    """Four or more times in the window, several at once."""
    place = scene.place("file", "opened")
    every_s = scene.window_s / rng.uniform(5, 12)
    begin_s = rng.uniform(0, every_s)
    while begin_s < scene.window_s:
        place.all(begin_s + 0.01 * index for index in range(rng.randint(2, 9)))
        begin_s += every_s


def forgotten_bodies(rng: random.Random, scene: Scene) -> None:
    """Every response body is forgotten."""
    rate = _log_uniform(rng, 20, 300) / scene.window_s
    keep_alive_pool(rng, scene, rate=rate, busy_s=0.01, leak_share=1.0)


def some_forgotten_bodies(rng: random.Random, scene: Scene) -> None:
    """One response body of some is forgotten under keep-alive traffic."""
    share = 36 / scene.window_s / 200
    keep_alive_pool(rng, scene, rate=200, busy_s=0.01, leak_share=share)


def forgotten_clients(rng: random.Random, scene: Scene) -> None:
    """Clients leave after a second at most, the server keeps the connection."""
    place = scene.place("tcp", "accepted")
    for born_s in poisson(rng, _log_uniform(rng, 20, 300) / scene.window_s, 0, scene.window_s):
        left_s = born_s + rng.uniform(0, 0.5)
        state = "CLOSE_WAIT" if left_s < scene.window_s else "ESTABLISHED"
        place.live(born_s, state=state, local_port=8080, since_ack_s=max(scene.window_s - left_s, 0.0))


def raw_dials(rng: random.Random, scene: Scene) -> None:
    """Most connections are closed, those with an error are not."""
    place = scene.place("tcp", "dialed")
    for born_s in poisson(rng, 100 / scene.window_s, 0, scene.window_s):
        place.live(born_s, math.inf if rng.random() < 0.25 else born_s + rng.uniform(0.001, 0.1))


def keep_alive_pool(
    rng: random.Random,
    scene: Scene,
    *,
    rate: float,
    busy_s: float,
    cap: int = 1000,
    leak_share: float = 0.0,
    ramp_until_s: float = 0.0,
) -> Place:
    """Add a pool as net/http keeps it: last in, first out; dials only when nothing is idle."""
    place = scene.place("tcp", "dialed", function="main.fetch", below=HTTP_DIAL)
    idle: list[int] = []
    busy: list[tuple[float, int]] = []
    lives = place.lives
    begin_s = 0.0 if ramp_until_s else -5.0
    for at_s in poisson(rng, rate, begin_s, scene.window_s):
        if ramp_until_s and rng.random() > at_s / ramp_until_s:
            continue
        while busy and busy[0][0] <= at_s:
            done_s, index = heapq.heappop(busy)
            lives[index].last_data_s = done_s
            if rng.random() < leak_share:
                continue
            if len(idle) < cap:
                idle.append(index)
            else:
                lives[index].died_s = done_s
        index = idle.pop() if idle else len(lives)
        if index == len(lives):
            place.live(at_s)
        lives[index].last_data_s = at_s
        heapq.heappush(busy, (at_s + rng.expovariate(1 / busy_s), index))
    return place


HEALTHY: dict[str, Process] = {
    process.__name__: process
    for process in (
        churn,
        heavy_tail,
        long_tasks,
        batch,
        ramp_up,
        capped_cache,
        pool_filling,
        small_pool,
        websockets,
        impatient_clients,
        start_up,
        log_rotation,
        children,
        workers,
        finalizers,
    )
}
LEAKING: dict[str, Process] = {
    process.__name__: process
    for process in (
        pure_leak,
        planted,
        few_but_clean,
        some_of_many,
        late_start,
        in_bursts,
        forgotten_bodies,
        some_forgotten_bodies,
        forgotten_clients,
        raw_dials,
    )
}
