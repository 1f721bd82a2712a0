package rig

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
)

// startPeer starts this program again as the other end and returns its address. A line on its stdin lets it begin, and it
// ends when our end of that pipe closes, however we end. Cost in the observed process: the pipe, and a pidfd on newer Go.
func (r *Rig) startPeer(target string) string {
	args := append(append([]string{}, os.Args[1:]...), "-role", "peer", "-lifeline", "-hold", "-peer", target)
	cmd := exec.Command(Self(), args...)
	cmd.Stderr = os.Stderr
	theirs, ours, err := os.Pipe()
	r.Must(err)
	cmd.Stdin = theirs
	r.peerPipe = ours // keeps it open
	out, err := cmd.StdoutPipe()
	r.Must(err)
	r.Must(cmd.Start())
	theirs.Close()
	var hello struct{ Addr string }
	line, err := bufio.NewReader(out).ReadBytes('\n')
	r.Must(err)
	r.Must(json.Unmarshal(line, &hello))
	out.Close()
	return hello.Addr
}

// Self is the path of this program, also after its file was replaced.
func Self() string { return "/proc/self/exe" }

// Announce is the ready line of a second process. It prints nothing after it.
func (r *Rig) Announce(addr string) {
	r.print(map[string]any{"ready": true, "pid": os.Getpid(), "addr": addr})
}

// AnnounceClients is the ready line of a second process that calls the service, and the wait for the word to begin.
func (r *Rig) AnnounceClients() {
	r.Announce("")
	<-r.Begun()
}

// Drain reads a stream to its end and forgets it.
func Drain(from io.Reader) { io.Copy(io.Discard, from) }
