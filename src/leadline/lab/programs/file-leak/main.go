// A web server whose handler opens a template for each request and keeps the open file in its session table, from which
// nothing is ever removed.
package main

import (
	"io"
	"net"
	"net/http"
	"os"
	"sync"

	"lab/internal/rig"
)

func main() {
	rig.Main(rig.Service{N: 23, Rate: 2, Run: run, Clients: func(r *rig.Rig) { rig.GetForEver(r, "/page", r.N) }})
}

type pages struct {
	rig      *rig.Rig
	template string
	mutex    sync.Mutex
	sessions []*os.File
}

func run(r *rig.Rig) {
	site := &pages{rig: r, template: r.File("page.tmpl", "<h1>hello</h1>\n")}
	listener, err := net.Listen("tcp", r.Listen)
	r.Must(err)
	go http.Serve(listener, site)
	r.Ready(listener.Addr().String())
}

func (p *pages) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	file, err := os.Open(p.template) // want: acquired
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	io.Copy(w, file)
	p.mutex.Lock()
	p.sessions = append(p.sessions, file)
	p.mutex.Unlock()
	p.rig.Did()
}
