package certs

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// peers are the open connections whose peers have shown a certificate.
type peers struct {
	changed chan struct{} // has a token after earliest has become earlier

	mu   sync.Mutex
	open map[*peer]struct{}
	// earliest is not later than the earliest time at which a certificate in open expires. It is
	// zero if there is none.
	earliest time.Time
}

// peer is the certificate of the other end of a connection. One goroutine at a time uses it: the one
// that does the handshake, and after peers.add the one that reads the files or those that it starts.
type peer struct {
	conn    net.Conn // connection below TLS, so that its end waits for nothing
	shown   []*x509.Certificate
	chains  [][]*x509.Certificate
	usage   x509.ExtKeyUsage
	expires time.Time // first moment at which none of the chains is valid
}

// newPeer returns the peer of a connection with a verified certificate, or nil if it has none. usage
// is what the certificate must permit.
func newPeer(conn net.Conn, state *tls.ConnectionState, usage x509.ExtKeyUsage) *peer {
	if len(state.VerifiedChains) == 0 {
		return nil
	}
	return &peer{conn: conn, shown: state.PeerCertificates, chains: state.VerifiedChains, usage: usage, expires: expiry(state.VerifiedChains)}
}

// expiry returns the first moment at which none of the chains is valid. A certificate is still valid
// at the time NotAfter itself.
func expiry(chains [][]*x509.Certificate) (latest time.Time) {
	for _, chain := range chains {
		earliest := chain[0].NotAfter
		for _, c := range chain {
			if c.NotAfter.Before(earliest) {
				earliest = c.NotAfter
			}
		}
		if earliest.After(latest) {
			latest = earliest
		}
	}
	return latest.Add(time.Nanosecond)
}

// add adds an open connection, unless current returns another material than m. current runs under the
// lock, so that a later closeUntrusted sees every connection that was verified with an earlier
// material.
func (ps *peers) add(p *peer, m *material, current func() *material) (added bool) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if current() != m {
		return false
	}
	ps.open[p] = struct{}{}
	if ps.earliest.IsZero() || p.expires.Before(ps.earliest) {
		ps.earliest = p.expires
		select {
		case ps.changed <- struct{}{}:
		default:
		}
	}
	return true
}

func (ps *peers) remove(p *peer) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	delete(ps.open, p)
}

func (ps *peers) count() int {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return len(ps.open)
}

// closeUntrusted closes each connection whose peer cannot be verified with the roots in m. It
// returns their number.
func (ps *peers) closeUntrusted(m *material, now time.Time) (closed int) {
	return ps.closeUnless(ps.snapshot(func(*peer) bool { return true }), m, now, func(p *peer) bool {
		return p.keepsRoot(m) && now.Before(p.expires)
	})
}

// closeExpired closes each connection whose verified chains have expired, unless there is another
// chain that m verifies. It returns the number of closed connections.
func (ps *peers) closeExpired(m *material, now time.Time) (closed int) {
	if earliest := ps.nextExpiry(); earliest.IsZero() || now.Before(earliest) {
		return 0
	}
	expired := ps.snapshot(func(p *peer) bool { return !now.Before(p.expires) })
	closed = ps.closeUnless(expired, m, now, func(*peer) bool { return false })
	ps.findEarliest()
	return closed
}

// nextExpiry returns a time that is not later than the one at which the next certificate expires. It
// is zero if there is none.
func (ps *peers) nextExpiry() time.Time {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return ps.earliest
}

// snapshot returns the connections for which f returns true. f runs under the lock.
func (ps *peers) snapshot(f func(*peer) bool) (some []*peer) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for p := range ps.open {
		if f(p) {
			some = append(some, p)
		}
	}
	return some
}

// closeUnless closes the connections whose peers are neither known to be trusted nor verified with m.
// It returns their number. All processors verify, because one of them needs a second for about 6,000
// different certificates.
func (ps *peers) closeUnless(some []*peer, m *material, now time.Time, known func(*peer) bool) int {
	var closed atomic.Int64
	var workers sync.WaitGroup
	size := max(len(some)/runtime.GOMAXPROCS(0)+1, leastShare)
	for share := range slices.Chunk(some, size) {
		workers.Go(func() {
			results := map[[sha256.Size]byte]verified{}
			for _, p := range share {
				if !known(p) && !p.verifyOnce(m, now, results) {
					ps.remove(p)
					_ = p.conn.Close()
					closed.Add(1)
				}
			}
		})
	}
	workers.Wait()
	return int(closed.Load())
}

// leastShare is the smallest number of connections for which another goroutine is started.
const leastShare = 64

func (ps *peers) findEarliest() {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.earliest = time.Time{}
	for p := range ps.open {
		if ps.earliest.IsZero() || p.expires.Before(ps.earliest) {
			ps.earliest = p.expires
		}
	}
}

// keepsRoot reports whether m still has the root of each chain. Such a peer needs no new
// verification, which would take about 0.1 ms.
func (p *peer) keepsRoot(m *material) bool {
	if m.roots == nil {
		return true // the roots of the system do not change
	}
	for _, chain := range p.chains {
		if !m.rootSet[sha256.Sum256(chain[len(chain)-1].Raw)] {
			return false
		}
	}
	return true
}

// verified is the result of a verification.
type verified struct {
	ok      bool
	chains  [][]*x509.Certificate
	expires time.Time
}

// verifyOnce does the same as verify, but takes the result for equal certificates from results. A peer
// may have many connections.
func (p *peer) verifyOnce(m *material, now time.Time, results map[[sha256.Size]byte]verified) bool {
	hash := sha256.New()
	hash.Write([]byte{byte(p.usage)})
	for _, c := range p.shown {
		hash.Write(c.Raw)
	}
	key := [sha256.Size]byte(hash.Sum(nil))
	result, done := results[key]
	if !done {
		result.ok = p.verify(m, now)
		result.chains, result.expires = p.chains, p.expires
		results[key] = result
	}
	p.chains, p.expires = result.chains, result.expires
	return result.ok
}

// verify verifies the certificate of the peer again, and keeps the chains that were found.
func (p *peer) verify(m *material, now time.Time) bool {
	others := x509.NewCertPool()
	for _, c := range p.shown[1:] {
		others.AddCert(c)
	}
	chains, err := p.shown[0].Verify(x509.VerifyOptions{
		Roots: m.roots, Intermediates: others, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{p.usage},
	})
	if err != nil {
		return false
	}
	p.chains, p.expires = chains, expiry(chains)
	return true
}
