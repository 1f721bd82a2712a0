// A service with many parked goroutines, and a client that pings it.
//
//	goroutines serve N    parks N goroutines of several kinds, one in five on a connection; prints its address
//	goroutines ping URL   asks each 2 ms; each line on stdin prints "count max p99 p50" in ns since the line before
package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	_ "net/http/pprof"
	"os"
	"runtime"
	"sort"
	"strconv"
	"sync"
	"time"
)

var kept []*os.File // a pipe whose other end is collected ends

func must(err error) {
	if err != nil {
		panic(err)
	}
}

//go:noinline
func level(depth int, wait func()) int {
	if depth > 0 {
		return level(depth-1, wait) + 1
	}
	wait()
	return depth
}

func park(count int) {
	never := make(chan int)
	var held sync.Mutex
	held.Lock()
	waits := []func(){
		func() { <-never },
		func() { held.Lock() },
		func() { time.Sleep(24 * time.Hour) },
		func() {
			select {
			case <-never:
			case <-time.After(24 * time.Hour):
			}
		},
	}
	connections := count / 5
	if connections > 2000 {
		connections = 2000
	}
	for i := 0; i < count-connections; i++ {
		depth, wait := i%6, waits[i%len(waits)]
		go level(depth, wait)
	}
	for i := 0; i < connections; i++ {
		from, to, err := os.Pipe()
		must(err)
		kept = append(kept, to)
		go from.Read(make([]byte, 1))
	}
}

func serve(count int) {
	park(count)
	for i := 0; i < 3; i++ {
		runtime.GC()
	}
	http.HandleFunc("/ping", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "pong") })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	fmt.Println("http://" + listener.Addr().String())
	must(http.Serve(listener, nil))
}

func ping(url string) {
	var lock sync.Mutex
	var times []time.Duration
	go func() {
		ticker := time.NewTicker(2 * time.Millisecond)
		for range ticker.C {
			begin := time.Now()
			answer, err := http.Get(url)
			must(err)
			io.Copy(io.Discard, answer.Body)
			answer.Body.Close()
			lock.Lock()
			times = append(times, time.Since(begin))
			lock.Unlock()
		}
	}()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		lock.Lock()
		found := times
		times = nil
		lock.Unlock()
		sort.Slice(found, func(i, j int) bool { return found[i] < found[j] })
		if len(found) == 0 {
			fmt.Println(0, 0, 0, 0)
			continue
		}
		fmt.Println(len(found), int64(found[len(found)-1]), int64(found[len(found)*99/100]), int64(found[len(found)/2]))
	}
}

func main() {
	if os.Args[1] == "serve" {
		count, err := strconv.Atoi(os.Args[2])
		must(err)
		serve(count)
	}
	ping(os.Args[2])
}
