package rig

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/http"
	"time"
)

// Certificate makes a certificate for loopback that nobody signed.
func (r *Rig) Certificate() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	r.Must(err)
	plain := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	signed, err := x509.CreateCertificate(rand.Reader, plain, plain, &key.PublicKey, key)
	r.Must(err)
	return tls.Certificate{Certificate: [][]byte{signed}, PrivateKey: key}
}

// Trusting is a client configuration that takes any certificate: the lab's own, on loopback.
func Trusting() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

// ServeHTTPS runs a TLS server in the second process.
func ServeHTTPS(r *Rig, server *http.Server) {
	server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{r.Certificate()}}
	listener, err := net.Listen("tcp", r.Listen)
	r.Must(err)
	r.Announce(listener.Addr().String())
	r.Must(server.ServeTLS(listener, "", ""))
}
