package follow

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/credentials"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/nettest"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// answers listens on a local port, and calls the function for each connection.
func answers(t *testing.T, with func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			with(c)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

// secure completes a TLS handshake with a certificate.
func secure(cert tls.Certificate) func(net.Conn) {
	return func(c net.Conn) {
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		t := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2"}})
		if t.Handshake() == nil {
			_, _ = io.Copy(io.Discard, t)
		}
	}
}

// reads reads what the client sends first, and answers with these bytes.
func reads(answer string) func(net.Conn) {
	return func(c net.Conn) {
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = c.Read(make([]byte, 1024))
		_, _ = io.WriteString(c, answer)
	}
}

// TestDialErrors tests the findings for real failures on real sockets.
func TestDialErrors(t *testing.T) {
	ca := nettest.NewAuthority(t)
	trusts := credentials.NewTLS(&tls.Config{RootCAs: ca.Pool()})
	closed := answers(t, func(net.Conn) {})
	none := wire.Targets{}
	own := wire.Targets{Own: []netip.AddrPort{netip.MustParseAddrPort(closed)}}
	for what, c := range map[string]struct {
		address string
		targets *wire.Targets
		creds   credentials.TransportCredentials
		found   findingKind
		cause   health.Cause
	}{
		"nobody listens":         {address: nettest.Refusing(t), found: connRefused},
		"not allowed":            {address: closed, targets: &own, found: misconfigured, cause: health.CauseUnreachable},
		"no such name":           {address: "nobody.invalid:1", found: pathFault},
		"hangs up":               {address: closed, found: pathFault},
		"speaks HTTP/1.1":        {address: answers(t, reads("HTTP/1.1 400 Bad Request\r\n\r\n")), found: misconfigured, cause: health.CauseUnimplemented},
		"speaks something else":  {address: answers(t, reads("SSH-2.0-OpenSSH_9.6\r\n")), found: misconfigured, cause: health.CauseUnimplemented},
		"plaintext to TLS":       {address: answers(t, secure(ca.Certificate("localhost", time.Hour))), found: misconfigured, cause: health.CauseTLS},
		"TLS to plaintext":       {address: answers(t, reads("HTTP/1.1 400 Bad Request\r\n\r\n")), creds: trusts, found: misconfigured, cause: health.CauseTLS},
		"another authority":      {address: answers(t, secure(nettest.NewAuthority(t).Certificate("localhost", time.Hour))), creds: trusts, found: misconfigured, cause: health.CauseTLS},
		"another name":           {address: answers(t, secure(ca.Certificate("other", time.Hour))), creds: trusts, found: misconfigured, cause: health.CauseTLS},
		"hangs up under the TLS": {address: closed, creds: trusts, found: pathFault},
	} {
		t.Run(what, func(t *testing.T) {
			targets := c.targets
			if targets == nil {
				targets = &none
			}
			p := newPool(&Config{UnreachableAfter: health.DefaultUnreachableAfter, Targets: targets, Dial: DialPolicy{Credentials: c.creds}})
			e := p.acquire(p.keyOf(health.ID{Service: "pay", Instance: "a"}, &health.Spec{Address: c.address, ServerName: "localhost"}))
			err := e.connect(t.Context(), 0).err
			if err == nil {
				t.Fatal("the dial succeeded")
			}
			got := classifyDial(err)
			if got.kind != c.found || got.cause != c.cause || got.reason == "" {
				t.Errorf("%v (%T): %+v; want kind %d, cause %v, and a reason", err, err, got, c.found, c.cause)
			}
		})
	}
}

// TestOtherDialErrors tests errors that cannot be caused at will, in the form that the
// kernel and the library give them.
func TestOtherDialErrors(t *testing.T) {
	dial := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	past, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancel()
	_, late := (&net.Dialer{}).DialContext(past, "tcp", "127.0.0.1:1")
	for _, c := range []struct {
		err  error
		want finding
	}{
		{context.Canceled, finding{kind: ownFault}},
		{dial(os.NewSyscallError("socket", syscall.EMFILE)), finding{kind: ownFault}},
		{dial(os.NewSyscallError("socket", syscall.ENOBUFS)), finding{kind: ownFault}},
		{dial(os.NewSyscallError("socket", syscall.ENFILE)), finding{kind: ownFault}},
		{dial(os.NewSyscallError("socket", syscall.ENOMEM)), finding{kind: ownFault}},
		{dial(os.NewSyscallError("connect", syscall.EADDRNOTAVAIL)), finding{kind: pathFault}},
		{dial(os.NewSyscallError("connect", syscall.ENETUNREACH)), finding{kind: pathFault}},
		{dial(os.NewSyscallError("socket", syscall.EAFNOSUPPORT)), finding{kind: pathFault}},
		{dial(os.NewSyscallError("connect", syscall.EACCES)), finding{kind: pathFault}},
		{dial(os.NewSyscallError("connect", syscall.EINVAL)), finding{kind: pathFault}},
		{dial(os.NewSyscallError("connect", syscall.EHOSTUNREACH)), finding{kind: pathFault}},
		{dial(os.NewSyscallError("connect", syscall.ETIMEDOUT)), finding{kind: pathFault, waited: true}},
		{dial(os.ErrDeadlineExceeded), finding{kind: pathFault, waited: true}},
		{late, finding{kind: pathFault, waited: true}},
		{fmt.Errorf("wrapped: %w", dial(os.NewSyscallError("connect", syscall.ECONNREFUSED))), finding{kind: connRefused}},
	} {
		got := classifyDial(c.err)
		got.reason = ""
		if got != c.want {
			t.Errorf("%v: %+v, want %+v", c.err, got, c.want)
		}
	}
}

// TestSteadyReasons tests that a reason has no part that differs between attempts.
func TestSteadyReasons(t *testing.T) {
	for text, want := range map[string]string{
		"read tcp 10.0.0.1:43210->10.0.0.2:9000: read: connection reset by peer":                                             "read tcp 10.0.0.2:9000: read: connection reset by peer",
		"write tcp [::1]:43210->[::1]:9000: broken pipe":                                                                     "write tcp [::1]:9000: broken pipe",
		"x509: certificate has expired or is not yet valid: current time 2026-11-29T14:00:00Z is after 2025-01-01T00:00:00Z": "x509: certificate has expired or is not yet valid",
		"dial tcp 10.0.0.2:9000: connect: no route to host":                                                                  "dial tcp 10.0.0.2:9000: connect: no route to host",
	} {
		if got := classifyDial(errors.New(text)).reason; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
