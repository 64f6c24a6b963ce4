package watch

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

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// answers listens on a port of the machine's, and does this with connections.
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

// secure speaks TLS with a certificate.
func secure(cert tls.Certificate) func(net.Conn) {
	return func(c net.Conn) {
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		t := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2"}})
		if t.Handshake() == nil {
			_, _ = io.Copy(io.Discard, t)
		}
	}
}

// reads takes what the client sends first, and says this.
func reads(answer string) func(net.Conn) {
	return func(c net.Conn) {
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = c.Read(make([]byte, 1024))
		_, _ = io.WriteString(c, answer)
	}
}

// TestDialErrors: real failures, from real sockets, and what they are taken
// for.
func TestDialErrors(t *testing.T) {
	ca := newAuthority(t)
	trusts := credentials.NewTLS(&tls.Config{RootCAs: ca.pool})
	closed := answers(t, func(net.Conn) {})
	refuses := func() string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		return l.Addr().String()
	}()
	none := wire.Targets{}
	elsewhere := wire.Targets{Allow: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}
	for what, c := range map[string]struct {
		address string
		targets *wire.Targets
		creds   credentials.TransportCredentials
		about   about
		cause   health.Cause
	}{
		"nobody listens":         {address: refuses, about: refusal},
		"not allowed":            {address: closed, targets: &elsewhere, about: configuration, cause: health.CauseUnreachable},
		"no such name":           {address: "nobody.invalid:1", about: path},
		"hangs up":               {address: closed, about: path},
		"speaks HTTP/1.1":        {address: answers(t, reads("HTTP/1.1 400 Bad Request\r\n\r\n")), about: configuration, cause: health.CauseUnimplemented},
		"speaks something else":  {address: answers(t, reads("SSH-2.0-OpenSSH_9.6\r\n")), about: configuration, cause: health.CauseUnimplemented},
		"plaintext to TLS":       {address: answers(t, secure(ca.issue(t, "localhost"))), about: path}, // which hangs up without a word
		"TLS to plaintext":       {address: answers(t, reads("HTTP/1.1 400 Bad Request\r\n\r\n")), creds: trusts, about: configuration, cause: health.CauseTLS},
		"another authority":      {address: answers(t, secure(newAuthority(t).issue(t, "localhost"))), creds: trusts, about: configuration, cause: health.CauseTLS},
		"another name":           {address: answers(t, secure(ca.issue(t, "other"))), creds: trusts, about: configuration, cause: health.CauseTLS},
		"hangs up under the TLS": {address: closed, creds: trusts, about: path},
	} {
		t.Run(what, func(t *testing.T) {
			targets := c.targets
			if targets == nil {
				targets = &none
			}
			p := newPool(&Config{UnreachableAfter: health.DefaultUnreachableAfter, Dial: Dialer(targets), Credentials: c.creds})
			e := p.enter(health.ID{Service: "pay", Instance: "a"}, &health.Spec{Address: c.address, ServerName: "localhost"})
			err := e.connect(t.Context(), 0).err
			if err == nil {
				t.Fatal("connected")
			}
			got := classifyDial(err)
			if got.about != c.about || got.cause != c.cause || got.reason == "" {
				t.Errorf("%v (%T): %+v; want about %d, cause %v, and a reason", err, err, got, c.about, c.cause)
			}
		})
	}
}

// TestOtherDialErrors: those that cannot be had at will, as the kernel and the
// library make them.
func TestOtherDialErrors(t *testing.T) {
	dial := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	past, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancel()
	_, late := (&net.Dialer{}).DialContext(past, "tcp", "127.0.0.1:1")
	for _, c := range []struct {
		err  error
		want finding
	}{
		{context.Canceled, finding{about: ourselves}},
		{dial(os.NewSyscallError("socket", syscall.EMFILE)), finding{about: ourselves}},
		{dial(os.NewSyscallError("socket", syscall.ENOBUFS)), finding{about: ourselves}},
		{dial(os.NewSyscallError("connect", syscall.EADDRNOTAVAIL)), finding{about: ourselves}},
		{dial(os.NewSyscallError("connect", syscall.EHOSTUNREACH)), finding{about: path}},
		{dial(os.NewSyscallError("connect", syscall.ETIMEDOUT)), finding{about: path, waited: true}},
		{dial(os.ErrDeadlineExceeded), finding{about: path, waited: true}},
		{late, finding{about: path, waited: true}},
		{fmt.Errorf("wrapped: %w", dial(os.NewSyscallError("connect", syscall.ECONNREFUSED))), finding{about: refusal}},
	} {
		got := classifyDial(c.err)
		got.reason = ""
		if got != c.want {
			t.Errorf("%v: %+v, want %+v", c.err, got, c.want)
		}
	}
}

// TestCallErrors: what the end of a call comes to. What ends after it was heard
// says nothing by itself: the next attempt will tell.
func TestCallErrors(t *testing.T) {
	for _, c := range []struct {
		err   error
		heard bool
		want  finding
	}{
		{io.EOF, false, finding{about: nothing}},
		{errSilent, true, finding{about: path, waited: true}},
		{status.Error(codes.Canceled, ""), false, finding{about: nothing}},
		{status.Error(codes.DeadlineExceeded, ""), false, finding{about: path, waited: true}},
		{status.Error(codes.DeadlineExceeded, ""), true, finding{about: path, waited: true}},
		{status.Error(codes.Unavailable, ""), false, finding{about: path}},
		{status.Error(codes.Unavailable, ""), true, finding{about: nothing}},
		{status.Error(codes.Unimplemented, ""), true, finding{about: unimplemented, cause: health.CauseUnimplemented}},
		{status.Error(codes.NotFound, ""), true, finding{about: unknownName, cause: health.CauseUnknownName}},
		{status.Error(codes.Unauthenticated, ""), true, finding{about: configuration, cause: health.CauseUnauthenticated}},
		{status.Error(codes.PermissionDenied, ""), true, finding{about: configuration, cause: health.CauseUnauthenticated}},
		{status.Error(codes.Internal, "grpc: failed to unmarshal the received message"), true, finding{about: configuration, cause: health.CauseUnimplemented}},
		{status.Error(codes.ResourceExhausted, "grpc: received message larger than max (1 vs. 0)"), true, finding{about: configuration, cause: health.CauseUnimplemented}},
		{status.Error(codes.Unknown, `unexpected HTTP status code received from server: 200 (OK)`), false, finding{about: configuration, cause: health.CauseUnimplemented}},
		{status.Error(codes.Unknown, "the handler panicked"), false, finding{about: path}},
		{errors.New("anything"), false, finding{about: path}},
	} {
		got := classifyCall(c.err, c.heard)
		got.reason = ""
		if got != c.want {
			t.Errorf("%v, heard %v: %+v, want %+v", c.err, c.heard, got, c.want)
		}
	}
}
