// Package fetch plays a third-party library: the applications of the lab call it, its own frames are not theirs.
package fetch

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"sync"
)

// Session is a connection that its owner must Close.
type Session struct{ conn net.Conn }

// Connect opens a session.
func Connect(addr string) (*Session, error) {
	conn, err := dial(addr)
	if err != nil {
		return nil, err
	}
	return &Session{conn}, nil
}

func dial(addr string) (net.Conn, error) { return net.Dial("tcp", addr) }

// Ask sends a line and returns the answer.
func (s *Session) Ask(line string) (string, error) {
	if _, err := fmt.Fprintln(s.conn, line); err != nil {
		return "", err
	}
	return bufio.NewReader(s.conn).ReadString('\n')
}

// Close ends the session.
func (s *Session) Close() error { return s.conn.Close() }

// Page is a response whose owner must Close it.
type Page struct{ response *http.Response }

// Get asks for a page.
func Get(url string) (*Page, error) {
	response, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	return &Page{response}, nil
}

// Status is the status code of the page.
func (p *Page) Status() int { return p.response.StatusCode }

// Close lets the connection be used again.
func (p *Page) Close() error { return p.response.Body.Close() }

var (
	warmMutex sync.Mutex
	warm      []*Session
)

// Warm opens a session, keeps it in a store that is never emptied, and reports on done. It is meant to be run with go.
func Warm(addr string, done func()) {
	session, err := Connect(addr)
	if err != nil {
		return
	}
	warmMutex.Lock()
	warm = append(warm, session)
	warmMutex.Unlock()
	done()
}
