// Package trial is the harness of the programs with real third-party libraries: flags, the second process that plays the other
// end, servers that are started beside, and an end of it all after -duration.
package trial

import (
	"bufio"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// Trial is what a program sees of its harness.
type Trial struct {
	Addr string  // where the observed process listens, in the second process
	Leak string  // which fault is planted, "" when none
	N    int     // how many faults (0: no end), or clients
	Rate float64 // faults, or requests, a second
}

// Main parses flags, runs the observed process, or other in the second process, and does not return. leaks are the faults that
// -leak can plant.
func Main(leaks string, service, other func(*Trial)) {
	t := &Trial{}
	role := flag.String("role", "service", "service, or other (the second process, which the program starts itself)")
	duration := flag.Duration("duration", 5*time.Minute, "stop after this time")
	flag.StringVar(&t.Addr, "addr", "127.0.0.1:0", "address to listen on; in the second process: to call")
	flag.StringVar(&t.Leak, "leak", "", "plant this fault: "+leaks)
	flag.IntVar(&t.N, "n", 0, "how many faults (0: no end)")
	flag.Float64Var(&t.Rate, "rate", 3, "faults a second")
	flag.Parse()
	if t.Leak != "" && !strings.Contains(" "+leaks+" ", " "+t.Leak+" ") {
		log.Fatalf("-leak is one of: %s", leaks)
	}
	time.AfterFunc(*duration, func() { end(0) })
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-stop
		end(0)
	}()
	if *role == "other" {
		go func() { // until the observed process has gone
			bufio.NewReader(os.Stdin).ReadString(0)
			end(0)
		}()
		other(t)
	} else {
		service(t)
	}
	select {}
}

var (
	atEnd    []func()
	lifeline *os.File // keeps the second process alive
)

func end(code int) {
	for i := len(atEnd) - 1; i >= 0; i-- {
		atEnd[i]()
	}
	os.Exit(code)
}

// AtEnd is done when the program ends, last thing first.
func AtEnd(do func()) { atEnd = append(atEnd, do) }

// Must ends the program unless err is nil.
func Must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		end(2)
	}
}

// Listen opens the port of the observed process.
func (t *Trial) Listen() net.Listener {
	listener, err := net.Listen("tcp", t.Addr)
	Must(err)
	return listener
}

// Ready says who can be observed, and starts the second process, which calls addr; "" starts none.
func (t *Trial) Ready(addr string) {
	if addr != "" {
		cmd := exec.Command("/proc/self/exe", append(append([]string{}, os.Args[1:]...), "-role", "other", "-addr", addr)...)
		cmd.Stderr = os.Stderr
		theirs, ours, err := os.Pipe()
		Must(err)
		cmd.Stdin = theirs
		lifeline = ours
		Must(cmd.Start())
		theirs.Close()
	}
	fmt.Printf("{\"ready\":true,\"pid\":%d,\"addr\":%q}\n", os.Getpid(), addr)
}

// Beside starts a server in a process of its own, which ends when the program does, and waits until it listens on addr.
func Beside(addr string, cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	Must(cmd.Start())
	AtEnd(func() {
		cmd.Process.Signal(syscall.SIGINT)
		cmd.Wait()
	})
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			Must(fmt.Errorf("%s does not listen on %s", cmd.Path, addr))
		}
	}
}

// FreePort is an address on loopback on which nobody listens.
func FreePort() string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	Must(err)
	defer listener.Close()
	return listener.Addr().String()
}

// Plant calls op at the trial's rate, N times (0: for ever), when a fault is to be planted.
func (t *Trial) Plant(op func(i int)) {
	for i := 0; t.Leak != "" && (t.N == 0 || i < t.N); i++ {
		op(i)
		time.Sleep(time.Duration(float64(time.Second) / t.Rate))
	}
}

// Every calls op again and again, with a pause after each.
func Every(pause time.Duration, op func()) {
	for {
		op()
		time.Sleep(pause)
	}
}
