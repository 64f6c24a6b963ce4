package follow

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

	"github.com/meshhealth/meshhealth/internal/mesh"

	"github.com/meshhealth/meshhealth/health"
)

// TestCauses is the table of errors without an answer and their findings. TestAnswers
// has those with an answer. Package mesh decides what follows from refusals, silence
// and suspicion.
func TestCauses(t *testing.T) {
	dial := func(err error) finding { return classifyDial(&net.OpError{Op: "dial", Net: "tcp", Err: err}) }
	sys := func(e syscall.Errno) finding { return dial(os.NewSyscallError("connect", e)) }
	lookup := func(e *net.DNSError) finding { return dial(e) }
	for line, c := range map[string]struct {
		found findingKind
		cause health.Cause
		seen  []finding
	}{
		"refused": {connRefused, 0, []finding{sys(syscall.ECONNREFUSED)}},
		"time-out": {pathFault, 0, []finding{
			dial(context.DeadlineExceeded), dial(os.ErrDeadlineExceeded), sys(syscall.ETIMEDOUT),
		}},
		"no way to one address": {pathFault, 0, []finding{sys(syscall.EADDRNOTAVAIL), sys(syscall.EAFNOSUPPORT), sys(syscall.ENETUNREACH)}},
		"no route":              {pathFault, 0, []finding{sys(syscall.EHOSTUNREACH), sys(syscall.ENETUNREACH), sys(syscall.EHOSTDOWN), sys(syscall.ENETDOWN)}},
		"reset before a word": {pathFault, 0, []finding{
			sys(syscall.ECONNRESET), sys(syscall.EPIPE), dial(io.EOF), dial(io.ErrUnexpectedEOF),
		}},
		"DNS": {pathFault, 0, []finding{
			lookup(&net.DNSError{Err: "no such host", Name: "x", IsNotFound: true}),
			lookup(&net.DNSError{Err: "server misbehaving", Name: "x", IsTemporary: true}),
			lookup(&net.DNSError{Err: "i/o timeout", Name: "x", IsTimeout: true}),
			// The name server refuses, and not the target.
			lookup(&net.DNSError{Err: "read udp 127.0.0.1:1->127.0.0.53:53: read: connection refused", Name: "x"}),
		}},
		"TLS": {misconfigured, health.CauseTLS, []finding{
			dial(tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}), dial(tls.AlertError(42)),
			dial(&tls.CertificateVerificationError{Err: errors.New("no")}), dial(x509.UnknownAuthorityError{}),
			dial(x509.HostnameError{Certificate: &x509.Certificate{}, Host: "x"}), dial(x509.CertificateInvalidError{Reason: x509.Expired}),
			dial(errors.New("remote error: tls: bad certificate")),
			dial(errors.New("credentials: cannot check peer: missing selected ALPN property")),
		}},
		"no HTTP/2": {misconfigured, health.CauseUnimplemented, []finding{
			classifyDial(errors.New("connection error: desc = \"error reading server preface: http2: frame too large\"")),
		}},
		"SERVICE_UNKNOWN for it": {unknownName, health.CauseUnknownName, []finding{unknownNameFinding([]string{"pay"}), unknownNameFinding([]string{"pay", ""})}},
		"too many files, and such": {ownFault, 0, []finding{
			sys(syscall.EMFILE), sys(syscall.ENFILE), sys(syscall.ENOBUFS), sys(syscall.ENOMEM),
			lookup(&net.DNSError{Err: "dial udp 127.0.0.53:53: socket: too many open files", Name: "x"}),
		}},
		"our own cancel": {ownFault, 0, []finding{dial(context.Canceled), classifyDial(context.Canceled)}},
	} {
		for i, got := range c.seen {
			if got.kind != c.found || got.cause != c.cause {
				t.Errorf("%s, %d: kind %d, cause %v; want %d, %v (%s)", line, i, got.kind, got.cause, c.found, c.cause, got.reason)
			}
		}
	}
}

// TestOwnLack tests that a lack of file descriptors is reported as our own fault.
func TestOwnLack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigWith(t, func(cfg *Config) {
			cfg.Dial.Context = func(context.Context, string) (net.Conn, error) {
				return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("socket", syscall.EMFILE)}
			}
		})
		r.register("pay/a", health.Spec{Address: "host:1"})
		all := r.after(time.Minute)
		for _, e := range all {
			if e.Kind != mesh.EventOwnFault {
				t.Errorf("evidence %+v, want our own fault only", e)
			}
		}
		if len(all) < 3 {
			t.Errorf("%d pieces of evidence in a minute, want several", len(all))
		}
	})
}

// TestOwnLateness tests that a missed poll carries the time by which we ourselves were
// late, and that the next missed poll carries none.
func TestOwnLateness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		s := r.countPolls()
		r.after(time.Minute)
		s.times()
		s.takes.Store(int64(time.Hour))
		for len(s.asked) == 0 {
			time.Sleep(10 * time.Millisecond)
		}
		r.after(checkTimeout / 2)
		r.manager.polls.mu.Lock()
		now := time.Now()
		r.manager.polls.late.Note(now.Add(-time.Second), now)
		r.manager.polls.mu.Unlock()
		got := r.after(checkTimeout/2 + time.Second)
		if len(got) != 1 || got[0].Kind != mesh.EventPath || got[0].Late != time.Second {
			t.Errorf("evidence %+v, want a path fault with one second of lateness", got)
		}
		got = r.after(DefaultPollEvery + checkTimeout + time.Second)
		if len(got) == 0 || got[0].Kind != mesh.EventPath || got[0].Late != 0 {
			t.Errorf("evidence %+v without lateness, want a path fault", got)
		}
	})
}

// TestOwnOverload tests that a target which we do not poll for long is reported as
// unasked. Nothing else is reported until the next poll.
func TestOwnOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.countPolls()
		r.after(time.Minute)
		var hang []*pollTask
		for range maxPolls {
			f := newPollTask(&fake{a: &schedulerRig{every: time.Second}, takes: 40 * time.Second})
			r.manager.polls.add(f)
			hang = append(hang, f)
		}
		r.after(DefaultPollEvery) // the last answer, and the first missed poll
		got := r.after(health.DefaultUnreachableAfter)
		r.expect(got, "pay/a: unasked")
		if got[0].Reason == "" {
			t.Error("the evidence has no reason")
		}
		for _, f := range hang {
			r.manager.polls.remove(f)
		}
		got = r.after(time.Minute)
		if len(got) < 6 || got[0].String() != "pay/a: SERVING by grpc-poll" {
			t.Errorf("evidence %v when workers are free again", got)
		}
		if len(r.dialled("host:1")) != 1 {
			t.Error("the connection was dialled again")
		}
	})
}
