// A server that is told to shut down while twenty requests are under way: Shutdown waits for them, six seconds, and then all
// connections are closed.
package main

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 20, Run: run, Clients: clients}) }

func run(r *rig.Rig) {
	listener, err := net.Listen("tcp", r.Listen)
	r.Must(err)
	var busy atomic.Int64
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		busy.Add(1)
		<-r.Begun()
		time.Sleep(6 * time.Second)
		w.Write([]byte("done\n"))
		r.Worked()
	})}
	go server.Serve(listener)
	r.ReadyAfter(listener.Addr().String(), func() bool { return busy.Load() == int64(r.N) })
	r.Worked()
	r.Must(server.Shutdown(context.Background()))
}

func clients(r *rig.Rig) {
	r.Announce("")
	for i := 0; i < r.N; i++ {
		go rig.GetAndClose(&http.Client{Timeout: time.Minute}, "http://"+r.Peer+"/report")
	}
}
