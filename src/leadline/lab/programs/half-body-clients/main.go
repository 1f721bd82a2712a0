// An upload service without read time limits: clients announce ten bytes, send two, and say nothing more. Their handlers
// wait for the rest for ever.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 23, Rate: 10, Run: run, Clients: clients}) }

type uploads struct{ rig *rig.Rig }

func run(r *rig.Rig) {
	listener, err := net.Listen("tcp", r.Listen)
	r.Must(err)
	go serve(&http.Server{Handler: &uploads{rig: r}}, listener)
	r.Ready(listener.Addr().String())
}

func serve(server *http.Server, listener net.Listener) {
	server.Serve(listener) // want: acquired
}

func (u *uploads) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	u.rig.Did()
	text, err := io.ReadAll(request.Body) // want: parked
	if err != nil {
		return
	}
	fmt.Fprintln(w, "stored", len(text))
}

func clients(r *rig.Rig) {
	r.AnnounceClients()
	var silent []net.Conn
	rig.Pace(r.Rate, func(i int) bool {
		conn, err := net.Dial("tcp", r.Peer)
		r.Must(err)
		fmt.Fprintf(conn, "POST /upload HTTP/1.1\r\nHost: %s\r\nUser-Agent: lab-uploader/1.0\r\n", r.Peer)
		fmt.Fprint(conn, "Content-Type: text/plain\r\nContent-Length: 10\r\n\r\nab")
		silent = append(silent, conn)
		return r.N == 0 || i < r.N-1
	})
	<-make(chan int)
	runtime.KeepAlive(silent)
}
