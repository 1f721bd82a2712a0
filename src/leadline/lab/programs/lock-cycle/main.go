// A bank whose transfers lock both accounts, in the order in which they were named: two transfers in opposite directions wait
// for each other for ever, and whoever asks for a balance waits behind them. The rest of the program answers as before.
package main

import (
	"net"
	"net/http"
	"sync"
	"time"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 21, Rate: 4, Run: run, Clients: clients}) }

type account struct {
	mutex sync.Mutex
	cents int
}

var anna, bert = &account{cents: 100}, &account{cents: 100}

func run(r *rig.Rig) {
	listener, err := net.Listen("tcp", r.Listen)
	r.Must(err)
	go http.Serve(listener, http.NotFoundHandler())
	r.Ready(listener.Addr().String())
	go transfer(anna, bert)
	go transfer(bert, anna)
	time.Sleep(100 * time.Millisecond)
	r.Repeat(func(int) { go balance(anna) })
}

func transfer(from, to *account) {
	from.mutex.Lock()
	defer from.mutex.Unlock()
	time.Sleep(50 * time.Millisecond) // asks a bank
	to.mutex.Lock()                   // want: parked
	defer to.mutex.Unlock()
	from.cents--
	to.cents++
}

func balance(of *account) int {
	of.mutex.Lock() // want: parked
	defer of.mutex.Unlock()
	return of.cents
}

func clients(r *rig.Rig) {
	r.Rate = 5
	rig.GetForEver(r, "/health", 0)
}
