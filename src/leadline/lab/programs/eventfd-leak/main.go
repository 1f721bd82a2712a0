// A wake-up channel for native code: one eventfd per request, never closed.
package main

import (
	"syscall"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 23, Rate: 2, Run: run}) }

func run(r *rig.Rig) {
	r.Ready("")
	r.Repeat(func(int) { r.Must(newWakeUp()) })
}

func newWakeUp() error {
	_, _, code := syscall.Syscall(syscall.SYS_EVENTFD2, 0, syscall.O_CLOEXEC, 0) // want: acquired
	if code != 0 {
		return code
	}
	return nil
}
