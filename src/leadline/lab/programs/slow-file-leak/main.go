// A web server at 200 requests a second over kept-alive connections. It opens a file for each answer and closes it, except
// when the client asks for a page that it may not see: one request in 500.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"sync/atomic"

	"lab/internal/rig"
)

var every = flag.Int64("every", 500, "one request in so many is forbidden")

func main() { rig.Main(rig.Service{N: 37, Rate: 200, Run: run, Clients: clients}) }

func clients(r *rig.Rig) {
	r.AnnounceClients()
	const users = 8
	var number atomic.Int64
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: users}}
	for i := 0; i < users; i++ {
		go rig.Pace(r.Rate/users, func(int) bool {
			path := "/public"
			if next := number.Add(1); next%*every == 0 && (r.N == 0 || next <= int64(r.N)**every) {
				path = "/secret"
			}
			r.Must(rig.GetAndClose(client, fmt.Sprintf("http://%s%s", r.Peer, path)))
			return true
		})
	}
}

type pages struct {
	rig  *rig.Rig
	page string
}

func run(r *rig.Rig) {
	debug.SetGCPercent(-1) // a collection would close the files that nobody refers to
	site := &pages{rig: r, page: r.File("page.html", "<h1>hello</h1>\n")}
	listener, err := net.Listen("tcp", r.Listen)
	r.Must(err)
	go http.Serve(listener, site)
	r.Ready(listener.Addr().String())
}

func (p *pages) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	if err := p.copyPage(w, request.URL.Path); err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		p.rig.Did()
	}
}

func (p *pages) copyPage(w io.Writer, path string) error {
	file, err := os.Open(p.page) // want: acquired
	if err != nil {
		return err
	}
	if path == "/secret" {
		return errors.New("forbidden")
	}
	defer file.Close()
	_, err = io.Copy(w, file)
	return err
}
