// A supervisor that owns a listening socket and hands a duplicate of it to one worker process after the other, each of which
// serves for a second and a half.
package main

import (
	"net"
	"os"
	"os/exec"
	"time"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{Rate: 10, Run: supervise, Clients: rig.TalkForEver, Child: work}) }

func supervise(r *rig.Rig) {
	listener, err := net.Listen("tcp", r.Listen)
	r.Must(err)
	r.Ready(listener.Addr().String())
	for {
		r.Must(handOver(listener.(*net.TCPListener)))
		r.Worked()
	}
}

func handOver(listener *net.TCPListener) error {
	file, err := listener.File()
	if err != nil {
		return err
	}
	worker := exec.Command(rig.Self(), "-role", "child")
	worker.ExtraFiles = []*os.File{file}
	if err := worker.Start(); err != nil {
		return err
	}
	file.Close()
	return worker.Wait()
}

func work(r *rig.Rig) {
	file := os.NewFile(3, "listener")
	listener, err := net.FileListener(file)
	r.Must(err)
	file.Close()
	time.AfterFunc(1500*time.Millisecond, func() { r.Exit(0) })
	for {
		conn, err := listener.Accept()
		r.Must(err)
		go rig.Echo(conn)
	}
}
