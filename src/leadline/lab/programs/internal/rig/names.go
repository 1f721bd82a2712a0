package rig

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
)

// DualStackName is a host that DualStackResolver knows with two addresses, ::1 and 127.0.0.1, like localhost on most
// machines. Its own name server makes the program independent of /etc/hosts.
const DualStackName = "upstream.lab.test."

// DualStackResolver resolves every name to ::1 and 127.0.0.1, inside the process.
func DualStackResolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go answerName(theirs)
		return ours, nil
	}}
}

// answerName answers one DNS query in the form used over streams: two bytes of length before each message.
func answerName(conn net.Conn) {
	defer conn.Close()
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return
	}
	query := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(conn, query); err != nil || len(query) < 17 {
		return
	}
	end := 12 + bytes.IndexByte(query[12:], 0) + 5 // after name, type and class
	address := net.IPv4(127, 0, 0, 1).To4()
	if binary.BigEndian.Uint16(query[end-4:]) == 28 { // AAAA
		address = net.IPv6loopback
	}
	answer := append([]byte{0, 0}, query[:end]...)
	copy(answer[4:], []byte{0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0}) // a response with one question and one answer
	answer = append(answer, 0xc0, 12, query[end-4], query[end-3], 0, 1, 0, 0, 0, 60, 0, byte(len(address)))
	answer = append(answer, address...)
	binary.BigEndian.PutUint16(answer, uint16(len(answer)-2))
	conn.Write(answer)
}
