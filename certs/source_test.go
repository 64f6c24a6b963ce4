package certs_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/credentials"

	"github.com/meshhealth/meshhealth/certs"
	"github.com/meshhealth/meshhealth/internal/logs/logtest"
	"github.com/meshhealth/meshhealth/internal/nettest"
)

// TestReload checks that a replaced certificate is used by the next handshake of both sides.
func TestReload(t *testing.T) {
	f := newFolder(t)
	s := f.open(certs.Options{})
	before, _ := shake(t, s.Client(certs.Dial{}), s.Server())
	again, _ := shake(t, s.Client(certs.Dial{}), s.Server())
	if before.serial() != again.serial() {
		t.Error("another certificate, though the files are the same")
	}
	f.issue(time.Hour)
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	c, srv := shake(t, s.Client(certs.Dial{}), s.Server())
	if c.serial() == before.serial() || srv.serial() != c.serial() {
		t.Errorf("the server shows %s, the client %s; before %s", c.serial(), srv.serial(), before.serial())
	}
	if left := time.Until(s.Status().Expires); left > time.Hour || left < time.Minute {
		t.Errorf("it expires in %v", left)
	}
	s.Close()
	if c, _ := shake(t, s.Client(certs.Dial{}), s.Server()); !errors.Is(c.err, certs.ErrClosed) || !errors.Is(s.Reload(), certs.ErrClosed) {
		t.Errorf("after Close: %v, %v", c.err, s.Reload())
	}
}

// badContents has contents of files that must not be used, and a part of the error for each.
var badContents = map[string]struct {
	change func(f *folder)
	want   string
}{
	"a certificate with the key of another": {func(f *folder) {
		key := read(f.t, f.files.Key)
		f.issue(time.Hour)
		write(f.t, f.files.Key, key)
	}, "Cert: tls: private key does not match"},
	"half a certificate": {func(f *folder) {
		text := read(f.t, f.files.Cert)
		write(f.t, f.files.Cert, text[:len(text)/2])
	}, "peer.pem\" has a certificate that is not complete"},
	"half a key": {func(f *folder) {
		text := read(f.t, f.files.Key)
		write(f.t, f.files.Key, text[:len(text)/2])
	}, "peer.key"},
	"an empty certificate": {func(f *folder) { write(f.t, f.files.Cert, nil) }, "peer.pem\" has no certificate in it"},
	"no key":               {func(f *folder) { _ = os.Remove(f.files.Key) }, "Key: open "},
	"no certificate":       {func(f *folder) { _ = os.Remove(f.files.Cert) }, "Cert: open "},
	"no roots":             {func(f *folder) { _ = os.Remove(f.files.Roots) }, "Roots: open "},
	"empty roots":          {func(f *folder) { write(f.t, f.files.Roots, nil) }, "ca.pem\" has no certificate in it"},
	"half of the second root": {func(f *folder) {
		text := read(f.t, f.files.Roots)
		write(f.t, f.files.Roots, append(text, text[:len(text)/2]...))
	}, "ca.pem\" has a certificate that is not complete"},
	"half of the first root": {func(f *folder) {
		text := read(f.t, f.files.Roots)
		write(f.t, f.files.Roots, append(text[:len(text)/2:len(text)/2], text...))
	}, "ca.pem\" has a certificate that is not complete"},
	"a key as roots": {func(f *folder) { write(f.t, f.files.Roots, read(f.t, f.files.Key)) }, "ca.pem\" has no certificate in it"},
	"an expired certificate": {func(f *folder) {
		f.issue(-time.Minute)
	}, "peer.pem\" expired at "},
	"a certificate of tomorrow": {func(f *folder) {
		c := template()
		c.NotBefore = time.Now().Add(24 * time.Hour)
		f.ca.Save(f.dir, "peer", f.ca.Sign(c))
	}, "or set the clock"},
	"a pipe": {func(f *folder) {
		_ = os.Remove(f.files.Roots)
		if err := syscall.Mkfifo(f.files.Roots, 0o600); err != nil {
			f.t.Fatal(err)
		}
	}, "is no regular file"},
	"a folder": {func(f *folder) {
		_ = os.Remove(f.files.Roots)
		if err := os.Mkdir(f.files.Roots, 0o700); err != nil {
			f.t.Fatal(err)
		}
	}, "is no regular file"},
	"a large file": {func(f *folder) { write(f.t, f.files.Roots, bytes.Repeat([]byte("x"), 4<<20+1)) }, "is larger than 4 MiB"},
}

// TestBadContent checks that files with a fault change nothing, that the error says what is wrong,
// and that a source cannot be opened with them.
func TestBadContent(t *testing.T) {
	for name, c := range badContents {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t)
			s := f.open(certs.Options{})
			before, _ := shake(t, s.Client(certs.Dial{}), s.Server())
			c.change(f)
			err := s.Reload()
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
			after, srv := shake(t, s.Client(certs.Dial{}), s.Server())
			if after.err != nil || srv.err != nil || after.serial() != before.serial() {
				t.Errorf("%v, %v, or another certificate", after.err, srv.err)
			}
			if st := s.Status(); st.FailedReads != 1 || st.Fault == nil {
				t.Errorf("status %+v", st)
			}
			if _, err := certs.Open(f.files, certs.Options{}); err == nil {
				t.Error("the same files can be opened")
			}
			if err := f.files.Check(); err == nil {
				t.Error("Check finds no fault")
			}
		})
	}
}

// TestWrongFiles checks faults that no content can have.
func TestWrongFiles(t *testing.T) {
	f := newFolder(t)
	other := filepath.Join(t.TempDir(), "peer.key")
	write(t, other, read(t, f.files.Key))
	for want, files := range map[string]certs.Files{
		"Cert: is given without key":                    {Cert: f.files.Cert},
		"Key: is given without cert":                    {Key: f.files.Key},
		"Key: \"" + other + "\" is not in the folder o": {Cert: f.files.Cert, Key: other},
	} {
		if _, err := certs.Open(files, certs.Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", files, err)
		}
	}
}

// bubble runs a test with a simulated clock. The certificate is valid for validFor. The log is as
// text.
func bubble(t *testing.T, validFor, pollEvery time.Duration, run func(t *testing.T, f *folder, s *certs.Source, log *logtest.Record)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := newFolder(t)
		f.issue(validFor)
		log := &logtest.Record{}
		s, err := certs.Open(f.files, certs.Options{Logger: log.Logger(), PollEvery: pollEvery})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		run(t, f, s, log)
	})
}

// logged returns the number of lines of a log that contain a text.
func logged(log *logtest.Record, text string) (n int) {
	for _, level := range []string{"INFO", "WARN", "ERROR"} {
		for _, line := range log.Lines(level) {
			if strings.Contains(line, text) {
				n++
			}
		}
	}
	return n
}

// pass lets d pass, and waits until what is due then has happened.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// TestPolling checks that new files are used after two reads. A fault is logged once, and forgotten
// when the files are well again.
func TestPolling(t *testing.T) {
	bubble(t, 400*24*time.Hour, 0, func(t *testing.T, f *folder, s *certs.Source, log *logtest.Record) {
		first := s.Status().Expires
		f.issue(300 * 24 * time.Hour)
		pass(5 * time.Second)
		if s.Status().Expires != first {
			t.Error("new files are used after one read")
		}
		pass(time.Second)
		second := s.Status().Expires
		if second == first || logged(log, "certificate files were read again") == 0 {
			t.Errorf("new files are not used after two reads")
		}
		good := read(t, f.files.Key)
		write(t, f.files.Key, good[:len(good)/2])
		pass(time.Minute)
		if n := logged(log, "certificate files cannot be used"); n != 1 || s.Status().Expires != second {
			t.Errorf("%d records about the fault, want 1", n)
		}
		if st := s.Status(); st.FailedReads < 5 || st.Fault == nil {
			t.Errorf("status %+v", st)
		}
		write(t, f.files.Key, good)
		pass(6 * time.Second)
		if st := s.Status(); st.Fault != nil || st.Expires != second {
			t.Errorf("status %+v", st)
		}
		write(t, f.files.Key, good[:len(good)/2])
		pass(10 * time.Second)
		if n := logged(log, "certificate files cannot be used"); n != 2 {
			t.Errorf("%d records about the second fault, want 2", n)
		}
	})
}

// TestTransientFault checks that files that are replaced one after the other cause no record.
func TestTransientFault(t *testing.T) {
	bubble(t, 400*24*time.Hour, 0, func(t *testing.T, f *folder, s *certs.Source, log *logtest.Record) {
		key := read(t, f.files.Key)
		f.issue(300 * 24 * time.Hour)
		newKey := read(t, f.files.Key)
		write(t, f.files.Key, key)
		pass(5 * time.Second) // read for the first time: a mixed pair
		write(t, f.files.Key, newKey)
		first := s.Status().Expires
		pass(2 * time.Second)
		if s.Status().Expires == first || logged(log, "cannot be used") > 0 || s.Status().FailedReads != 0 {
			t.Errorf("status %+v", s.Status())
		}
	})
}

// TestExpiryWarnings checks that each warning is logged once, at its time, and again for the next
// certificate.
func TestExpiryWarnings(t *testing.T) {
	const day = 24 * time.Hour
	bubble(t, 20*day, time.Hour, func(t *testing.T, f *folder, s *certs.Source, log *logtest.Record) {
		soon := func() int { return logged(log, "the certificate expires soon") }
		for _, c := range []struct {
			after   time.Duration
			soon    int
			expired bool
		}{{5 * day, 0, false}, {day + 2*time.Hour, 1, false}, {10 * day, 1, false}, {3 * day, 2, false}, {day, 2, true}, {day, 2, true}} {
			pass(c.after)
			if got := logged(log, "the certificate has expired"); soon() != c.soon || got == 1 != c.expired {
				t.Fatalf("%v later: %d warnings, want %d; expired %d", c.after, soon(), c.soon, got)
			}
		}
		f.issue(3 * day)
		if err := s.Reload(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if soon() != 3 {
			t.Errorf("a new certificate that expires in three days: %d warnings, want 3", soon())
		}
	})
}

// TestExpiredPeers checks that a connection is closed when the certificate of the peer expires, on
// both sides, and that other connections stay open.
func TestExpiredPeers(t *testing.T) {
	bubble(t, 24*time.Hour, time.Hour, func(t *testing.T, f *folder, s *certs.Source, log *logtest.Record) {
		soonFiles := f.files
		soonFiles.Cert, soonFiles.Key = f.ca.Issue(f.dir, "peer2", time.Hour)
		soon, err := certs.Open(soonFiles, certs.Options{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer soon.Close()
		dial := func(client, server *certs.Source, name string) (c, srv *end) {
			near, far := net.Pipe()
			c, srv = connect(t.Context(), near, far, client.Client(certs.Dial{ServerName: name}), server.Server())
			if c.err != nil || srv.err != nil {
				t.Fatal(c.err, srv.err)
			}
			return c, srv
		}
		c1, s1 := dial(s, s, "peer")     // both certificates are valid for a day
		c2, s2 := dial(soon, s, "peer")  // the client's expires in an hour
		c3, s3 := dial(s, soon, "peer2") // the server's expires in an hour
		defer func() { c1.Close(); s1.Close() }()
		pass(time.Hour - time.Second)
		if n := s.Status().Peers; n != 4 {
			t.Errorf("%d peers before, want 4", n)
		}
		pass(3 * time.Second)
		if n := s.Status().Peers; n != 2 {
			t.Errorf("%d peers after, want 2", n)
		}
		for _, e := range []*end{c2, s2, c3, s3} {
			if err := e.closed(); err != nil {
				t.Error(err)
			}
			e.Close()
		}
		go func() { _, _ = c1.Write([]byte("x")) }()
		if _, err := s1.Read(make([]byte, 1)); err != nil {
			t.Errorf("the connection of the others: %v", err)
		}
		if logged(log, "certificates of the peers have expired") == 0 {
			t.Error("no record says so")
		}
	})
}

// TestRemovedRoot checks that Reload closes the connections to peers of a removed root, on both sides,
// and no others.
func TestRemovedRoot(t *testing.T) {
	f, old := newFolder(t), nettest.NewAuthority(t)
	own := read(t, f.files.Roots)
	oldRoots := read(t, old.Roots(t.TempDir()))
	write(t, f.files.Roots, append(own[:len(own):len(own)], oldRoots...))
	s := f.open(certs.Options{Logger: slog.New(slog.DiscardHandler)})
	oldFiles := certs.Files{Roots: f.files.Roots}
	oldFiles.Cert, oldFiles.Key = old.Issue(f.dir, "peer.old", time.Hour)
	before, err := certs.Open(oldFiles, certs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer before.Close()
	kept, keptFar := shake(t, s.Client(certs.Dial{}), s.Server())
	in, _ := shake(t, before.Client(certs.Dial{}), s.Server())
	out, outFar := shake(t, s.Client(certs.Dial{ServerName: "peer.old"}), before.Server())
	if n := s.Status().Peers; n != 4 || in.err != nil || out.err != nil {
		t.Fatalf("%d peers, %v, %v", n, in.err, out.err)
	}
	write(t, f.files.Roots, own)
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	if n := s.Status().Peers; n != 2 {
		t.Errorf("%d live peers, want the 2 of the root that is left", n)
	}
	for _, e := range []*end{in, out, outFar} {
		if err := e.closed(); err != nil {
			t.Error(err)
		}
	}
	if _, err := kept.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	if _, err := keptFar.Read(make([]byte, 1)); err != nil {
		t.Error(err)
	}
	if c, srv := shake(t, before.Client(certs.Dial{}), s.Server()); srv.err == nil || kindOf(c.refusal()) != certs.KindRefused {
		t.Errorf("a new connection: %v, %v", srv.err, c.err)
	}
	kept.Close()
	keptFar.Close()
	if n := s.Status().Peers; n != 0 {
		t.Errorf("%d peers after all were closed", n)
	}
}

// TestManyPeers checks that of many connections exactly those of the removed root are closed.
func TestManyPeers(t *testing.T) {
	f, old := newFolder(t), nettest.NewAuthority(t)
	own := read(t, f.files.Roots)
	write(t, f.files.Roots, append(own[:len(own):len(own)], read(t, old.Roots(t.TempDir()))...))
	s := f.open(certs.Options{Logger: slog.New(slog.DiscardHandler)})
	ends := map[bool][]*end{} // by whether the old authority has signed the certificate
	for _, a := range []*nettest.Authority{f.ca, old} {
		for range 2 {
			shown := []tls.Certificate{a.Certificate("caller", time.Hour)}
			client := credentials.NewTLS(&tls.Config{RootCAs: f.ca.Pool(), Certificates: shown})
			for range 100 {
				c, srv := shake(t, client, s.Server())
				if c.err != nil || srv.err != nil {
					t.Fatal(c.err, srv.err)
				}
				ends[a == old] = append(ends[a == old], srv)
			}
		}
	}
	write(t, f.files.Roots, own)
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	if n := s.Status().Peers; n != 200 {
		t.Errorf("%d peers, want the 200 of the root that is left", n)
	}
	for _, e := range ends[true] {
		if err := e.closed(); err != nil {
			t.Error(err)
		}
	}
	for _, e := range ends[false] {
		if _, err := e.Write([]byte("x")); err != nil {
			t.Error(err)
		}
	}
}

// TestRenewedRoot checks that a root with the same key and a new certificate keeps its peers.
func TestRenewedRoot(t *testing.T) {
	f := newFolder(t)
	s := f.open(certs.Options{})
	shake(t, s.Client(certs.Dial{}), s.Server())
	write(t, f.files.Roots, read(t, f.ca.Renew().Roots(t.TempDir())))
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	if n := s.Status().Peers; n != 2 {
		t.Errorf("%d peers, want 2", n)
	}
}

// TestCloseEnds checks that Close ends while a Reload waits.
func TestCloseEnds(t *testing.T) {
	f := newFolder(t)
	s := f.open(certs.Options{PollEvery: time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			if err := s.Reload(); err != nil {
				return
			}
		}
	}()
	s.Close()
	s.Close()
	cancel()
	<-ended
}

// TestRefusalsAreLogged checks that refused clients cause one record in ten seconds, which says what to
// do, and that a connection that only ends causes none.
func TestRefusalsAreLogged(t *testing.T) {
	bubble(t, 400*24*time.Hour, time.Hour, func(t *testing.T, f *folder, s *certs.Source, log *logtest.Record) {
		stranger := nettest.NewAuthority(t).Certificate("stranger", time.Hour)
		client := credentials.NewTLS(&tls.Config{RootCAs: f.ca.Pool(), GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &stranger, nil }})
		refused := func(n int) {
			for range n {
				near, far := net.Pipe()
				go func() { // reads until the server has sent its alert
					if conn, _, err := client.ClientHandshake(t.Context(), "peer:1", near); err == nil {
						_, _ = conn.Read(make([]byte, 1))
					}
					near.Close()
				}()
				if _, _, err := s.Server().ServerHandshake(far); kindOf(err) != certs.KindUnknownAuthority {
					t.Error(err)
				}
				far.Close()
			}
		}
		near, far := net.Pipe()
		near.Close()
		if _, _, err := s.Server().ServerHandshake(far); err == nil {
			t.Error("a connection that ends is accepted")
		}
		refused(30)
		log.Want(t, "WARN", "a TLS handshake failed; add the certificate of this authority to the roots", "is signed by an authority that is not among the roots here", "more=0")
		pass(11 * time.Second)
		refused(1)
		if lines := log.Lines("WARN"); len(lines) != 2 || !strings.Contains(lines[1], "more=29") {
			t.Errorf("%q", lines)
		}
	})
}
