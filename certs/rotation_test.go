package certs_test

import (
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/certs"
	"github.com/meshhealth/meshhealth/internal/nettest"
)

// generation is the content of the files after one rotation.
type generation struct{ cert, key, roots []byte }

// rotator replaces the files of a folder. Each generation has a new certificate, and the roots of the
// authority beside the root of one that comes and goes.
type rotator struct {
	*folder
	source   *certs.Source
	complete sync.Map // serial numbers of the certificates that were once complete
	bad      int      // number of half-written generations
}

// next makes the files of the next generation in another folder.
func (r *rotator) next(passing *nettest.Authority) generation {
	dir := r.t.TempDir()
	c := r.ca.Certificate("peer", 365*24*time.Hour)
	cert, key := r.ca.Save(dir, "peer", c)
	r.complete.Store(c.Leaf.SerialNumber.String(), true)
	roots := append(read(r.t, r.ca.Roots(dir)), read(r.t, passing.Roots(dir))...)
	return generation{read(r.t, cert), read(r.t, key), roots}
}

// rename replaces one file in one step.
func (r *rotator) rename(name string, text []byte) {
	temporary := filepath.Join(r.dir, "new")
	write(r.t, temporary, text)
	if err := os.Rename(temporary, name); err != nil {
		r.t.Error(err)
	}
}

// half leaves one file as a writer leaves it that has been interrupted, and checks that it is refused.
func (r *rotator) half(g generation) {
	r.bad++
	switch rand.IntN(4) {
	case 0: // a certificate without its key
		r.rename(r.files.Cert, g.cert)
	case 1:
		r.rename(r.files.Cert, g.cert[:rand.IntN(len(g.cert)-1)])
	case 2:
		r.rename(r.files.Key, g.key[:rand.IntN(len(g.key)-30)])
	default: // at least the newline and the character before it are missing
		r.rename(r.files.Roots, g.roots[:len(g.roots)-2-rand.IntN(len(g.roots)/3)])
	}
	if err := r.source.Reload(); err == nil {
		r.t.Error("half-written files are used")
	}
}

func (r *rotator) replace(g generation) {
	r.rename(r.files.Cert, g.cert)
	r.rename(r.files.Key, g.key)
	r.rename(r.files.Roots, g.roots)
	if err := r.source.Reload(); err != nil {
		r.t.Error(err)
	}
}

// TestRotations is the short form of TestSoakRotations.
func TestRotations(t *testing.T) { rotate(t, 100) }

// rotate replaces certificate, key and roots n times while clients connect with the same files. Every
// tenth replacement is half-written for a while. Meanwhile the source also polls. No handshake may
// fail, and each side shows a certificate whose files were once complete.
func rotate(t *testing.T, n int) {
	f := newFolder(t)
	s := f.open(certs.Options{PollEvery: time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	r := &rotator{folder: f, source: s}
	passing := nettest.NewAuthority(t)
	r.replace(r.next(passing))
	var shaken atomic.Int64
	stop, pulse := make(chan struct{}), make(chan struct{}, 1)
	var workers sync.WaitGroup
	for range 2 {
		workers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				r.handshake()
				shaken.Add(1)
				select {
				case pulse <- struct{}{}:
				default:
				}
			}
		})
	}
	for i := range n {
		g := r.next(passing)
		if i%10 == 9 {
			r.half(g)
			<-pulse // handshakes while the files are half-written
			<-pulse
			passing = nettest.NewAuthority(t)
		}
		r.replace(g)
		<-pulse
	}
	close(stop)
	workers.Wait()
	if left := s.Status().Peers; left != 0 {
		t.Errorf("%d peers are left", left)
	}
	t.Logf("%d rotations, %d of them half-written first, %d handshakes, %d failed reads", n, r.bad, shaken.Load(), s.Status().FailedReads)
}

// handshake connects a client to a server, both with the files, and checks what both sides show.
func (r *rotator) handshake() {
	near, far := net.Pipe()
	c, s := connect(r.t.Context(), near, far, r.source.Client(certs.Dial{}), r.source.Server())
	defer func() { near.Close(); far.Close(); c.Close(); s.Close() }()
	if c.err != nil || s.err != nil {
		r.t.Errorf("client: %v; server: %v", c.err, s.err)
		return
	}
	for _, e := range []*end{c, s} {
		if _, complete := r.complete.Load(e.serial()); !complete {
			r.t.Errorf("the certificate %s was never complete", e.serial())
		}
	}
}
