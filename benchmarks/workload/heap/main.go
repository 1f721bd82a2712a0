// Program heap is the workload of the retention benchmark: a service with a large heap of small linked records, some of which
// keep connections that nobody uses. It prints its address and the size of its heap, serves pages, and ends with its input.
//
//	heap BYTES CONNECTIONS forgotten|dropped|listed...
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
)

type record struct {
	name   string
	tags   []string
	owner  *record
	next   *record
	values map[string]int
	body   []byte
	conn   net.Conn
}

type store struct {
	byName map[string]*record
	last   *record
}

const listed = 20000

var (
	registry = &store{byName: map[string]*record{}}
	forgot   = map[int]*record{}
	list     *record
	accepted []net.Conn
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func (s *store) add(i int) {
	r := &record{
		name:  "record-" + strconv.Itoa(i),
		tags:  []string{"a" + strconv.Itoa(i%100), "b" + strconv.Itoa(i%7)},
		owner: s.last,
		next:  s.last,
		body:  make([]byte, 48),
	}
	if i%8 == 0 {
		r.values = map[string]int{"x": i}
	}
	s.byName[r.name] = r
	s.last = r
}

func heapBytes() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

func connect(way string, count int, address string) {
	for i := 0; i < count; i++ {
		c, err := net.Dial("tcp", address)
		must(err)
		switch way {
		case "forgotten":
			forgot[i] = &record{name: "conn", conn: c}
		case "listed":
			list = &record{conn: c, next: list}
		}
	}
	if way == "listed" { // the connections stand at its end
		for i := 0; i < listed; i++ {
			list = &record{next: list}
		}
	}
}

func main() {
	wanted, err := strconv.ParseUint(os.Args[1], 10, 64)
	must(err)
	count, err := strconv.Atoi(os.Args[2])
	must(err)
	debug.SetGCPercent(20)
	for i := 0; i%20000 != 0 || heapBytes() < wanted; i++ {
		registry.add(i)
	}
	runtime.GC()
	debug.SetGCPercent(-1)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	ways := os.Args[3:]
	done := make(chan struct{})
	go func() {
		for i := 0; i < count*len(ways); i++ {
			c, err := listener.Accept()
			must(err)
			accepted = append(accepted, c)
		}
		close(done)
	}()
	for _, way := range ways {
		connect(way, count, listener.Addr().String())
	}
	<-done
	debug.SetGCPercent(1000) // a later collection would close what was dropped
	http.HandleFunc("/ping", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "pong") })
	pages, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	go http.Serve(pages, nil)
	fmt.Println("http://"+pages.Addr().String(), heapBytes())
	io.Copy(io.Discard, os.Stdin)
}
