package rig

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"time"
)

// TalkAndLeave dials the service once per planned event, says a line, waits for the answer, and closes.
func TalkAndLeave(r *Rig) {
	r.AnnounceClients()
	Pace(r.Rate, func(i int) bool {
		go TalkOnce(r.Peer, fmt.Sprintf("request %d", i))
		return r.N == 0 || i < r.N-1
	})
}

// TalkForEver is TalkAndLeave without an end.
func TalkForEver(r *Rig) {
	r.N = 0
	TalkAndLeave(r)
}

// TalkOnce makes one connection, one exchange of lines, and closes. A server that says nothing gets half a second.
func TalkOnce(addr, line string) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(500 * time.Millisecond))
	fmt.Fprintln(conn, line)
	bufio.NewReader(conn).ReadString('\n') // an answer, the end, or the deadline: all are fine
}

// GetForEver asks the service for path at the program's rate, over one connection that is kept alive.
func GetForEver(r *Rig, path string, count int) {
	r.AnnounceClients()
	client := &http.Client{Timeout: 5 * time.Second}
	Pace(r.Rate, func(i int) bool {
		if count > 0 && i >= count {
			return false
		}
		GetAndClose(client, "http://"+r.Peer+path)
		return true
	})
}

// GetAndClose makes one request as it should be made.
func GetAndClose(client *http.Client, url string) error {
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	Drain(response.Body)
	return nil
}

// GetWithNewConnections asks the service for path at the program's rate, each time over a connection of its own.
func GetWithNewConnections(r *Rig, path string) {
	r.AnnounceClients()
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	Pace(r.Rate, func(int) bool {
		go GetAndClose(client, "http://"+r.Peer+path)
		return true
	})
}
