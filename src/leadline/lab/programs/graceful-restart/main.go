// A web server that restarts in place every four seconds: a new listener on the same port takes over, the old server drains
// its connections and closes its listener.
package main

import (
	"context"
	"net"
	"net/http"
	"syscall"
	"time"

	"lab/internal/rig"
)

func main() {
	rig.Main(rig.Service{Rate: 40, Run: run, Clients: func(r *rig.Rig) { rig.GetForEver(r, "/", 0) }})
}

func run(r *rig.Rig) {
	addr, stop := serve(r, r.Listen)
	r.Ready(addr)
	for range time.Tick(4 * time.Second) {
		_, stopNext := serve(r, addr)
		stop()
		stop = stopNext
	}
}

// serve starts a server and returns its address and how to stop it.
func serve(r *rig.Rig, addr string) (string, func()) {
	config := net.ListenConfig{Control: sharePort}
	listener, err := config.Listen(context.Background(), "tcp", addr)
	r.Must(err)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte(rig.Body()))
		r.Worked()
	})}
	go server.Serve(listener)
	return listener.Addr().String(), func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		r.Must(server.Shutdown(ctx))
	}
}

func sharePort(_, _ string, raw syscall.RawConn) (err error) {
	const reusePort = 0xf // SO_REUSEPORT, which package syscall does not name on every architecture
	if failed := raw.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, reusePort, 1)
	}); failed != nil {
		return failed
	}
	return err
}
