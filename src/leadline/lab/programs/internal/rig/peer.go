package rig

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// startPeer starts this program again as the other end and returns its address. A line on its stdin lets it begin, and it
// ends when our end of that pipe closes, however we end. Cost in the observed process: the pipe, and a pidfd on newer Go.
func (r *Rig) startPeer(target string) string {
	args := append(append([]string{}, os.Args[1:]...), "-role", "peer", "-lifeline", "-hold", "-peer", target)
	cmd := exec.Command(otherName(), args...)
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

// otherName is this program under the name that the builder gives to second processes, so that a search by name finds the
// observed one only; without that link it is the program itself.
func otherName() string {
	if path, err := os.Readlink(Self()); err == nil {
		other := filepath.Join(filepath.Dir(path), "peer-of-"+filepath.Base(path))
		if _, err := os.Stat(other); err == nil {
			return other
		}
	}
	return Self()
}

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

// StartChild starts this program again with -role child, sharing stdout. The child ends when we do.
func (r *Rig) StartChild() *exec.Cmd {
	args := append(append([]string{}, os.Args[1:]...), "-role", "child", "-lifeline", "-hold=false")
	cmd := exec.Command(Self(), args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	theirs, ours, err := os.Pipe()
	r.Must(err)
	cmd.Stdin = theirs
	r.peerPipe = ours // keeps it open
	r.Must(cmd.Start())
	theirs.Close()
	r.print(map[string]any{"child_pid": cmd.Process.Pid})
	return cmd
}
