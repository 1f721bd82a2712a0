package rig

import (
	"bufio"
	"net"
	"net/http"
	"strings"
)

// HTTPUpstream serves body at every path, in the second process.
func HTTPUpstream(r *Rig, body string) {
	ServeHTTP(r, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(body)) }))
}

// ServeHTTP serves a handler in the second process.
func ServeHTTP(r *Rig, handler http.Handler) {
	listener, err := net.Listen("tcp", r.Listen)
	r.Must(err)
	r.Announce(listener.Addr().String())
	r.Must(http.Serve(listener, handler))
}

// EchoUpstream answers each line with the same line, in the second process, and closes when its client does.
func EchoUpstream(r *Rig) {
	listener, err := net.Listen("tcp", r.Listen)
	r.Must(err)
	r.Announce(listener.Addr().String())
	for {
		conn, err := listener.Accept()
		r.Must(err)
		go Echo(conn)
	}
}

// Echo answers each line of a connection until its client closes.
func Echo(conn net.Conn) {
	defer conn.Close()
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		if _, err := conn.Write(append(lines.Bytes(), '\n')); err != nil {
			return
		}
	}
}

// Body is a response body of about one kilobyte.
func Body() string { return strings.Repeat("0123456789abcde\n", 64) }
