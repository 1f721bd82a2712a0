// A client with a connection per request, 300 a second. All are closed, but for those where the answer is "odd": one in 150.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"net"
	"strings"

	"lab/internal/rig"
)

var every = flag.Int("every", 150, "one request in so many has an odd answer")

func main() { rig.Main(rig.Service{N: 23, Rate: 300, Run: run, Upstream: rig.EchoUpstream}) }

var (
	errOdd = errors.New("odd answer")
	held   []net.Conn
)

func run(r *rig.Rig) {
	r.Ready("")
	odd := 0
	rig.Pace(r.Rate, func(i int) bool {
		word := "even"
		if i%*every == *every/2 && (r.N == 0 || odd < r.N) {
			word = "odd"
		}
		switch err := ask(r.Peer, word); err {
		case nil:
		case errOdd:
			odd++
			r.Did()
		default:
			r.Fail(err)
		}
		return true
	})
}

func ask(addr, word string) error {
	conn, err := net.Dial("tcp", addr) // want: acquired
	if err != nil {
		return err
	}
	fmt.Fprintln(conn, word)
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if strings.TrimSpace(answer) == "odd" {
		held = append(held, conn)
		return errOdd
	}
	conn.Close()
	return err
}
