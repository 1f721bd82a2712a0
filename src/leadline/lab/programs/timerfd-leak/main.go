// A scheduler on timerfd that makes a timer per job and never closes one.
package main

import (
	"syscall"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 23, Rate: 2, Run: run}) }

func run(r *rig.Rig) {
	r.Ready("")
	r.Repeat(func(int) { r.Must(schedule()) })
}

func schedule() error {
	const clockMonotonic = 1
	_, _, code := syscall.Syscall(syscall.SYS_TIMERFD_CREATE, clockMonotonic, syscall.O_CLOEXEC, 0) // want: acquired
	if code != 0 {
		return code
	}
	return nil
}
