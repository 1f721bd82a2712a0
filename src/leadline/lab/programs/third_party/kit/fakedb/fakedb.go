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
func (c *conn) Begin() (driver.Tx, error)                { return nil, errors.New("no transactions here") }

type stmt struct {
	conn *conn
	text string
}

func (s *stmt) Close() error                               { return nil }
func (s *stmt) NumInput() int                              { return 0 }
func (s *stmt) Exec([]driver.Value) (driver.Result, error) { return nil, errors.New("queries only") }

func (s *stmt) Query([]driver.Value) (driver.Rows, error) {
	if _, err := fmt.Fprintln(s.conn.raw, s.text); err != nil {
		return nil, err
	}
	if _, err := bufio.NewReader(s.conn.raw).ReadString('\n'); err != nil {
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
