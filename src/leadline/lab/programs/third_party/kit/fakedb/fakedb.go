// Package fakedb plays a third-party database driver: each connection is a TCP connection to a server that echoes lines,
// and each query has three rows.
package fakedb

import (
	"bufio"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
)

// Connector opens connections to a server.
type Connector struct{ Addr string }

// Connect dials.
func (c Connector) Connect(ctx context.Context) (driver.Conn, error) {
	raw, err := (&net.Dialer{}).DialContext(ctx, "tcp", c.Addr)
	if err != nil {
		return nil, err
	}
	return &conn{raw}, nil
}

// Driver is required by database/sql and not used.
func (c Connector) Driver() driver.Driver { return nil }

type conn struct{ raw net.Conn }

func (c *conn) Prepare(text string) (driver.Stmt, error) { return &stmt{c, text}, nil }
func (c *conn) Close() error                             { return c.raw.Close() }
func (c *conn) Begin() (driver.Tx, error)                { return &tx{c}, c.say("begin") }

// say sends a line and takes the server's echo of it.
func (c *conn) say(text string) error {
	if _, err := fmt.Fprintln(c.raw, text); err != nil {
		return err
	}
	_, err := bufio.NewReader(c.raw).ReadString('\n')
	return err
}

type tx struct{ conn *conn }

func (t *tx) Commit() error   { return t.conn.say("commit") }
func (t *tx) Rollback() error { return t.conn.say("rollback") }

type stmt struct {
	conn *conn
	text string
}

func (s *stmt) Close() error                               { return nil }
func (s *stmt) NumInput() int                              { return 0 }
func (s *stmt) Exec([]driver.Value) (driver.Result, error) { return nil, errors.New("queries only") }

func (s *stmt) Query([]driver.Value) (driver.Rows, error) {
	if err := s.conn.say(s.text); err != nil {
		return nil, err
	}
	return &rows{}, nil
}

type rows struct{ next int64 }

func (r *rows) Columns() []string { return []string{"id"} }
func (r *rows) Close() error      { return nil }

func (r *rows) Next(into []driver.Value) error {
	if r.next == 3 {
		return io.EOF
	}
	r.next++
	into[0] = r.next
	return nil
}
