package watch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/meshhealth/meshhealth/health"
)

// TestCauses is the table of what is seen and what that is about, line by line.
// What refusals, silence and doubt then come to is decided by package health;
// that a status that was heard is reported, TestChain holds.
func TestCauses(t *testing.T) {
	dial := func(err error) finding { return classifyDial(&net.OpError{Op: "dial", Net: "tcp", Err: err}) }
	sys := func(e syscall.Errno) finding { return dial(os.NewSyscallError("connect", e)) }
	lookup := func(e *net.DNSError) finding { return dial(e) }
	heard := func(c codes.Code, text string) finding { return classifyCall(status.Error(c, text), true) }
	mute := func(c codes.Code, text string) finding { return classifyCall(status.Error(c, text), false) }
	for line, c := range map[string]struct {
		about about
		cause health.Cause
		seen  []finding
	}{
		"refused": {refusal, 0, []finding{sys(syscall.ECONNREFUSED)}},
		"a stream that had spoken ends": {nothing, 0, []finding{
			classifyCall(io.EOF, true), classifyCall(io.EOF, false), heard(codes.OK, ""), heard(codes.Canceled, "context canceled"),
			heard(codes.Unavailable, "error reading from server: EOF"),
			heard(codes.Unavailable, "error reading from server: read tcp 127.0.0.1:1->127.0.0.1:2: read: connection reset by peer"),
			heard(codes.Unavailable, "closing transport due to: connection error: desc = \"error reading from server: EOF\", received prior goaway: code: NO_ERROR"),
			heard(codes.Internal, "stream terminated by RST_STREAM with error code: INTERNAL_ERROR"),
			heard(codes.Unavailable, "stream terminated by RST_STREAM with error code: REFUSED_STREAM"),
			heard(codes.Unknown, "the handler panicked"), heard(codes.ResourceExhausted, "too many watchers"),
		}},
		"time-out": {path, 0, []finding{
			dial(context.DeadlineExceeded), dial(os.ErrDeadlineExceeded), sys(syscall.ETIMEDOUT),
			heard(codes.DeadlineExceeded, ""), mute(codes.DeadlineExceeded, ""),
		}},
		"no route": {path, 0, []finding{sys(syscall.EHOSTUNREACH), sys(syscall.ENETUNREACH), sys(syscall.EHOSTDOWN), sys(syscall.ENETDOWN)}},
		"reset before a word": {path, 0, []finding{
			sys(syscall.ECONNRESET), sys(syscall.EPIPE), dial(io.EOF), dial(io.ErrUnexpectedEOF),
			mute(codes.Internal, "stream terminated by RST_STREAM with error code: INTERNAL_ERROR"),
		}},
		"DNS": {path, 0, []finding{
			lookup(&net.DNSError{Err: "no such host", Name: "x", IsNotFound: true}),
			lookup(&net.DNSError{Err: "server misbehaving", Name: "x", IsTemporary: true}),
			lookup(&net.DNSError{Err: "i/o timeout", Name: "x", IsTimeout: true}),
			// It is the name server that refuses.
			lookup(&net.DNSError{Err: "read udp 127.0.0.1:1->127.0.0.53:53: read: connection refused", Name: "x"}),
		}},
		"three heartbeats missed": {path, 0, []finding{classifyCall(errSilent, true), classifyCall(errSilent, false)}},
		"UNAVAILABLE before a word, as from a proxy": {path, 0, []finding{
			mute(codes.Unavailable, "no healthy upstream"),
			mute(codes.Unavailable, `unexpected HTTP status code received from server: 503 (Service Unavailable); transport: received unexpected content-type "text/html"`),
			mute(codes.ResourceExhausted, "too many watchers"),
		}},
		"TLS": {configuration, health.CauseTLS, []finding{
			dial(tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}), dial(tls.AlertError(42)),
			dial(&tls.CertificateVerificationError{Err: errors.New("no")}), dial(x509.UnknownAuthorityError{}),
			dial(x509.HostnameError{Certificate: &x509.Certificate{}, Host: "x"}), dial(x509.CertificateInvalidError{Reason: x509.Expired}),
			dial(errors.New("remote error: tls: bad certificate")),
			dial(errors.New("credentials: cannot check peer: missing selected ALPN property")),
		}},
		"UNAUTHENTICATED, PERMISSION_DENIED": {configuration, health.CauseUnauthenticated, []finding{
			heard(codes.Unauthenticated, ""), mute(codes.Unauthenticated, ""), heard(codes.PermissionDenied, ""), mute(codes.PermissionDenied, ""),
		}},
		"a malformed reply": {configuration, health.CauseUnimplemented, []finding{
			heard(codes.Internal, "grpc: failed to unmarshal the received message"),
			mute(codes.Internal, "grpc: failed to decompress the received message"),
			mute(codes.ResourceExhausted, "grpc: received message larger than max (1 vs. 0)"),
			mute(codes.Unknown, "unexpected HTTP status code received from server: 200 (OK)"),
			mute(codes.Unknown, "malformed header: missing HTTP content-type"),
			classifyDial(errors.New("connection error: desc = \"error reading server preface: http2: frame too large\"")),
		}},
		"UNIMPLEMENTED":          {unimplemented, health.CauseUnimplemented, []finding{heard(codes.Unimplemented, ""), mute(codes.Unimplemented, "")}},
		"NOT_FOUND for the name": {unknownName, health.CauseUnknownName, []finding{heard(codes.NotFound, ""), mute(codes.NotFound, "")}},
		"SERVICE_UNKNOWN for it": {unknownName, health.CauseUnknownName, []finding{noSuchName([]string{"pay"}), noSuchName([]string{"pay", ""})}},
		"too many files, and such": {ourselves, 0, []finding{
			sys(syscall.EMFILE), sys(syscall.ENFILE), sys(syscall.ENOBUFS), sys(syscall.ENOMEM), sys(syscall.EADDRNOTAVAIL),
			lookup(&net.DNSError{Err: "dial udp 127.0.0.53:53: socket: too many open files", Name: "x"}),
		}},
		"our own cancel": {ourselves, 0, []finding{dial(context.Canceled), classifyDial(context.Canceled)}},
	} {
		for i, got := range c.seen {
			if got.about != c.about || got.cause != c.cause {
				t.Errorf("%s, %d: about %d, cause %v; want %d, %v (%s)", line, i, got.about, got.cause, c.about, c.cause, got.reason)
			}
		}
	}
}

// TestOwnLack: without descriptors we are not well, and nobody else is to blame.
func TestOwnLack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigWith(t, func(cfg *Config) {
			cfg.Dial = func(context.Context, string) (net.Conn, error) {
				return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("socket", syscall.EMFILE)}
			}
		})
		r.register("pay/a", health.Spec{Address: "host:1"})
		all := r.after(time.Minute)
		for _, e := range all {
			if e.Kind != health.EventUnwell {
				t.Errorf("told: %+v", e)
			}
		}
		if len(all) < 3 {
			t.Errorf("told %d times in a minute", len(all))
		}
	})
}

// TestOwnLateness: a poll that was waited for in vain while we ourselves were
// late tells nothing against anybody; the next, which was not, does.
func TestOwnLateness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		s := newCounting()
		r.serve("host:1", checkOnly{s}.register)
		r.register("pay/a", health.Spec{Address: "host:1"})
		r.after(time.Minute)
		s.times()
		s.takes.Store(int64(time.Hour))
		for len(s.asked) == 0 {
			time.Sleep(10 * time.Millisecond)
		}
		r.after(checkTimeout / 2)
		r.w.wheel.mu.Lock()
		r.w.wheel.lateAt = time.Now()
		r.w.wheel.mu.Unlock()
		r.are(r.after(checkTimeout/2 + time.Second))
		got := r.after(DefaultPollEvery + checkTimeout + time.Second)
		if len(got) == 0 || got[0].Kind != health.EventPath {
			t.Errorf("told %v when it was not us, want the path", got)
		}
	})
}

// TestOwnOverload: of who is not asked because others take our time, nothing is
// held against; that nobody knows is told, until it is asked again.
func TestOwnOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		s := newCounting()
		r.serve("host:1", checkOnly{s}.register)
		r.register("pay/a", health.Spec{Address: "host:1"})
		r.after(time.Minute)
		var hang []*spoke
		for range maxPolls {
			f := newSpoke(&fake{a: &asking{every: time.Second}, takes: 40 * time.Second})
			r.w.wheel.add(f)
			hang = append(hang, f)
		}
		r.after(DefaultPollEvery) // the last answer, and the first that is missing
		got := r.after(health.DefaultUnreachableAfter)
		r.are(got, "pay/a: unasked")
		if got[0].Reason == "" {
			t.Error("no reason")
		}
		for _, f := range hang {
			r.w.wheel.remove(f)
		}
		got = r.after(time.Minute)
		if len(got) < 6 || got[0].String() != "pay/a: SERVING by grpc-poll" {
			t.Errorf("told %v when there was time again", got)
		}
		if len(r.dialled("host:1")) != 1 {
			t.Error("it was dialled anew")
		}
	})
}
