// Workload is the measured side of the overhead benchmarks: a server, the client that loads it, and a churn of descriptors at a
// known rate. It stops by itself and talks to loopback only.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

func main() {
	role := flag.String("role", "server", "server, client or churn")
	url := flag.String("url", "", "what the client asks for")
	requests := flag.Int64("n", 10000, "requests of the client in all")
	connections := flag.Int("conns", 16, "connections of the client at a time")
	keepAlive := flag.Bool("keepalive", false, "the client reuses connections")
	rate := flag.Int("rate", 5000, "births per second of the churn")
	duration := flag.Duration("duration", 10*time.Minute, "end at the latest after this time")
	flag.Parse()
	time.AfterFunc(*duration, func() { os.Exit(0) })
	switch *role {
	case "server":
		serve()
	case "client":
		load(*url, *requests, *connections, *keepAlive)
	case "churn":
		churn(*rate)
	}
}

func ready(fields map[string]any) {
	line, _ := json.Marshal(fields)
	fmt.Println(string(line))
}

func serve() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	ready(map[string]any{"ready": true, "pid": os.Getpid(), "url": "http://" + listener.Addr().String() + "/"})
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "sounded\n") })
	panic(http.Serve(listener, handler))
}

func load(url string, requests int64, connections int, keepAlive bool) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: !keepAlive, MaxIdleConnsPerHost: connections}}
	var left atomic.Int64
	left.Store(requests)
	var group sync.WaitGroup
	begin := time.Now()
	for range make([]struct{}, connections) {
		group.Add(1)
		go func() {
			defer group.Done()
			for left.Add(-1) >= 0 {
				response, err := client.Get(url)
				if err != nil {
					panic(err)
				}
				_, _ = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
			}
		}()
	}
	group.Wait()
	ready(map[string]any{"requests": requests, "seconds": time.Since(begin).Seconds()})
}

func churn(rate int) {
	ready(map[string]any{"ready": true, "pid": os.Getpid()})
	const perTick = 100
	for range time.Tick(time.Second * perTick / time.Duration(rate)) {
		for range make([]struct{}, perTick) {
			file, err := os.Open(os.DevNull)
			if err != nil {
				panic(err)
			}
			_ = file.Close()
		}
	}
}
