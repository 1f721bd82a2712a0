// A configuration watcher that makes an inotify instance at each reload and leaves the old one.
package main

import (
	"syscall"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 23, Rate: 2, Run: run}) }

func run(r *rig.Rig) {
	dir := r.Dir()
	r.Ready("")
	r.Repeat(func(int) { r.Must(watch(dir)) })
}

func watch(dir string) error {
	fd, err := syscall.InotifyInit1(syscall.IN_CLOEXEC) // want: acquired
	if err != nil {
		return err
	}
	_, err = syscall.InotifyAddWatch(fd, dir, syscall.IN_MODIFY)
	return err
}
