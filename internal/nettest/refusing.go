package nettest

import (
	"net"
	"testing"
)

// Refusing returns a HOST:PORT that refuses connections until the test ends. The port belongs
// to the client's side of an open connection, so that no other process can listen on it.
func Refusing(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // if l closed before the end of the test, the connection would be reset
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c.LocalAddr().String()
}
