// The web server of file-leak with the missing line: the handler closes the template when it is done.
package main

import (
	"io"
	"net"
	"net/http"
	"os"

	"lab/internal/rig"
)

func main() {
	rig.Main(rig.Service{Rate: 2, Run: run, Clients: func(r *rig.Rig) { rig.GetForEver(r, "/page", 0) }})
}

type pages struct {
	rig      *rig.Rig
	template string
}

func run(r *rig.Rig) {
	site := &pages{rig: r, template: r.File("page.tmpl", "<h1>hello</h1>\n")}
	listener, err := net.Listen("tcp", r.Listen)
	r.Must(err)
	go http.Serve(listener, site)
	r.Ready(listener.Addr().String())
}

func (p *pages) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	file, err := os.Open(p.template)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer file.Close()
	io.Copy(w, file)
	p.rig.Worked()
}
