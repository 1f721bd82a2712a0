// Package rig is the harness of the lab programs: flags, pacing, progress lines, and the second process that plays the
// other end of connections, so that the observed process holds nothing but its own descriptors.
//
// A program prints JSON lines on stdout: {"ready":true,"pid":P,"addr":"127.0.0.1:N"} once, then {"done":K} as work is
// done, with "finished":true at the planned number. One that is called by clients prints {"listening":"127.0.0.1:N"}
// before it is ready: that is the moment to start them. Nothing in this package leaks.
package rig

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Service is one lab program. Run is the observed process. Upstream, when set, runs in the second process and listens;
// Clients, when set, runs in the second process and calls the service; Child runs where the program starts itself again.
type Service struct {
	N        int     // planned leaks, or clients, or files: the program's -n
	Rate     float64 // operations per second: the program's -rate
	Run      func(*Rig)
	Upstream func(*Rig)
	Clients  func(*Rig)
	Child    func(*Rig)
}

// Rig is what a program sees of its harness.
type Rig struct {
	N      int
	Rate   float64
	Listen string
	Peer   string // address of the other end, "" when there is none

	service  Service
	external bool // the clients are started by somebody else
	hold     bool
	goAhead  chan struct{}
	done     atomic.Int64
	printing sync.Mutex
	printed  time.Time
	dir      string
	dirOnce  sync.Once
	peerPipe *os.File
}

var (
	flagRole     = flag.String("role", "service", "service, peer (the other end) or child")
	flagPeer     = flag.String("peer", "", "address of a second process started elsewhere; 'external' when it calls us")
	flagListen   = flag.String("listen", "127.0.0.1:0", "address to listen on")
	flagDuration = flag.Duration("duration", 120*time.Second, "stop after this time")
	flagHold     = flag.Bool("hold", false, "begin the work only when a line arrives on stdin")
	flagLifeline = flag.Bool("lifeline", false, "stop when stdin closes")
)

// Main parses flags and runs the role that they ask for. It does not return.
func Main(s Service) {
	n := flag.Int("n", s.N, "how many (0: no end)")
	rate := flag.Float64("rate", s.Rate, "operations per second")
	flag.Parse()
	if flag.NArg() > 0 {
		// A second process is started with our own arguments before its role: after a stray word it would not see the role.
		fmt.Fprintf(os.Stderr, "%s takes flags only, not %q\n", filepath.Base(os.Args[0]), flag.Arg(0))
		os.Exit(2)
	}
	r := &Rig{N: *n, Rate: *rate, Listen: *flagListen, Peer: *flagPeer, service: s, goAhead: make(chan struct{})}
	r.hold = *flagHold
	r.external = *flagPeer != ""
	if r.hold || *flagLifeline {
		go r.watchStdin()
	}
	if !r.hold {
		close(r.goAhead)
	}
	time.AfterFunc(*flagDuration, func() { r.Exit(0) })
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-stop
		r.Exit(0)
	}()
	switch *flagRole {
	case "service":
		if s.Upstream != nil && !r.external {
			r.Peer = r.startPeer("")
		}
		s.Run(r)
	case "peer":
		if s.Upstream != nil {
			s.Upstream(r)
		} else {
			s.Clients(r)
		}
	case "child":
		s.Child(r)
	default:
		r.Fail(fmt.Errorf("unknown -role %q", *flagRole))
	}
	select {} // until -duration, a signal, or the end of the lifeline
}

// watchStdin takes the first line as the word to begin and the end of stdin as the word to stop.
func (r *Rig) watchStdin() {
	in := bufio.NewReader(os.Stdin)
	if _, err := in.ReadString('\n'); err != nil {
		r.Exit(0)
	}
	if r.hold {
		close(r.goAhead)
	}
	for {
		if _, err := in.ReadString('\n'); err != nil {
			r.Exit(0)
		}
	}
}

// Exit ends the program and takes its temporary directory along.
func (r *Rig) Exit(code int) {
	if r.dir != "" {
		os.RemoveAll(r.dir)
	}
	os.Exit(code)
}

// Fail reports an error that makes the program pointless and ends it.
func (r *Rig) Fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	r.Exit(2)
}

// Must fails unless err is nil.
func (r *Rig) Must(err error) {
	if err != nil {
		r.Fail(err)
	}
}

// Ready says that the program can be observed, waits for the word to begin when it was started with -hold, and then
// lets the clients loose. addr is where clients find the program, "" when it has none.
func (r *Rig) Ready(addr string) { r.ReadyAfter(addr, func() bool { return true }) }

// ReadyAfter is Ready for a program that first waits for its clients: they are started, and it is ready when the
// condition holds.
func (r *Rig) ReadyAfter(addr string, condition func() bool) {
	calls := r.service.Clients != nil && *flagRole == "service"
	if calls {
		r.print(map[string]any{"listening": addr}) // whoever starts the clients elsewhere starts them now
		if !r.external {
			r.startPeer(addr)
		}
	}
	for !condition() {
		time.Sleep(5 * time.Millisecond)
	}
	r.print(map[string]any{"ready": true, "pid": os.Getpid(), "addr": addr})
	<-r.goAhead
	if calls && !r.external {
		_, err := r.peerPipe.WriteString("go\n")
		r.Must(err)
	}
}

// Begun is closed when the work begins: at once, or with the first line on stdin under -hold.
func (r *Rig) Begun() <-chan struct{} { return r.goAhead }

// Did counts one planned event; the N-th is reported as the last.
func (r *Rig) Did() { r.report(r.done.Add(1), true) }

// Worked counts one piece of ordinary work, of which there is no planned number.
func (r *Rig) Worked() { r.report(r.done.Add(1), false) }

func (r *Rig) report(done int64, planned bool) {
	last := planned && done == int64(r.N)
	r.printing.Lock()
	due := time.Since(r.printed) > 50*time.Millisecond
	if due {
		r.printed = time.Now()
	}
	r.printing.Unlock()
	switch {
	case last:
		r.print(map[string]any{"done": done, "finished": true})
	case due:
		r.print(map[string]any{"done": done})
	}
}

func (r *Rig) print(line map[string]any) {
	text, err := json.Marshal(line)
	r.Must(err)
	r.printing.Lock()
	defer r.printing.Unlock()
	if _, err := os.Stdout.Write(append(text, '\n')); err != nil {
		r.Exit(0) // nobody reads any more
	}
}

// Repeat calls op with 0, 1, 2 ... at the program's rate, N times (0: for ever), and counts each call as done.
func (r *Rig) Repeat(op func(i int)) {
	Pace(r.Rate, func(i int) bool {
		if r.N > 0 && i >= r.N {
			return false
		}
		op(i)
		r.Did()
		return true
	})
}

// Pace calls op with 0, 1, 2 ... at rate per second until it returns false. Late calls are made up for.
func Pace(rate float64, op func(i int) bool) {
	begin := time.Now()
	for i := 0; ; i++ {
		due := begin.Add(time.Duration(float64(i) / rate * float64(time.Second)))
		if wait := time.Until(due); wait > 0 {
			time.Sleep(wait)
		}
		if !op(i) {
			return
		}
	}
}

// Dir returns a temporary directory that goes away with the program.
func (r *Rig) Dir() string {
	r.dirOnce.Do(func() {
		dir, err := os.MkdirTemp("", "leadline-lab-")
		r.Must(err)
		r.dir = dir
	})
	return r.dir
}

// File writes a small file into the temporary directory and returns its path.
func (r *Rig) File(name, text string) string {
	path := r.Dir() + "/" + name
	r.Must(os.WriteFile(path, []byte(text), 0o600))
	return path
}
