// A TLS server that is called by clients who speak plain text. The handshake fails and net/http closes the connection.
package main

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{Rate: 10, Run: run, Clients: rig.TalkForEver}) }

func run(r *rig.Rig) {
	listener, err := net.Listen("tcp", r.Listen)
	r.Must(err)
	server := &http.Server{
		ErrorLog:  log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{r.Certificate()}},
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateClosed {
				r.Worked()
			}
		},
	}
	go server.ServeTLS(listener, "", "")
	r.Ready(listener.Addr().String())
}
