// A hand-made event loop that starts over after each error with a new epoll instance.
package main

import (
	"syscall"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 23, Rate: 2, Run: run}) }

func run(r *rig.Rig) {
	r.Ready("")
	r.Repeat(func(int) { r.Must(startOver()) })
}

func startOver() error {
	_, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC) // want: acquired
	return err
}
