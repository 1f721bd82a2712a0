"""Panics of a Go program that it survived, counted in the kernel, with the stack where each began.

What it sees: every entry of runtime.gopanic, through which explicit panics and those of the runtime pass (nil maps, indices, nil
pointers), with the user stack and the ``go`` statement that started the goroutine. A panic that is raised again while
another one runs its deferred functions is part of that one and not counted twice; runtime.Goexit is none. A panic that nobody
recovered ended the process and is taken off.
What it cannot see: who recovered, and errors that Go does not let anybody recover (concurrent map writes, deadlock, out of
memory), which do not pass there.
Requirements: Linux 5.17 with BTF and uprobes, CAP_BPF and CAP_PERFMON; a program built with Go 1.18 or later.
Overhead: nothing unless the program panics; then 2 to 4 us for each panic. The target is never stopped, and only read; there are
entry probes only, never return probes.
Sources: Go runtime/panic.go (gopanic, fatalpanic), runtime/stack.go (newstack), cmd/internal/obj/x86/obj6.go (stacksplit).
"""

from leadline.probes.trace_panics.panics import PROBE, TracePanics

__all__ = ["PROBE", "TracePanics"]
