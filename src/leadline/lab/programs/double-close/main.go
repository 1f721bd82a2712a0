// A reader of raw descriptors that closes twice when the file is empty: once in the check, once at the end. The number is still
// free, so nobody is hit: the kernel answers EBADF.
package main

import (
	"syscall"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 23, Rate: 2, Run: run}) }

func run(r *rig.Rig) {
	path := r.File("empty", "")
	r.Ready("")
	r.Repeat(func(int) {
		if err := readAll(path); err != syscall.EBADF {
			r.Fail(err)
		}
	})
}

func readAll(path string) error {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	var text [64]byte
	if n, _ := syscall.Read(fd, text[:]); n == 0 {
		syscall.Close(fd)
	}
	return syscall.Close(fd) // want: closed
}
