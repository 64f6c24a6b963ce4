package certs

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meshhealth/meshhealth/internal/logs"
)

// DefaultPollEvery is the interval at which files are read again.
const DefaultPollEvery = 5 * time.Second

// stableFor is the time after which new content must still be the same before it is used, because it
// may be half written.
const stableFor = time.Second

// ErrClosed is the error of a handshake or of Reload after Close.
var ErrClosed = errors.New("certs: the source is closed")

// Options are the settings of a Source.
type Options struct {
	// PollEvery is the interval at which the files are read again; 0 means 5 s. New content is used
	// when two reads in a row have found it.
	PollEvery time.Duration
	// Logger receives a WARN for each fault of the files, 14 days and one day before the own
	// certificate expires, and for failed handshakes. nil means that each record at WARN or above
	// goes to slog.Default().
	Logger *slog.Logger
}

// Status says how a Source is.
type Status struct {
	// Expires is the time at which the own certificate expires; zero if there is none.
	Expires time.Time
	// Fault says what is wrong with the content of the files, which is therefore not used; nil if
	// it is used.
	Fault error
	// FailedReads is how often the files were read again and could not be used.
	FailedReads uint64
	// Peers is the number of open connections to peers that have shown a certificate.
	Peers int
}

// Source has the current certificates of some files, and the connections that were made with them.
type Source struct {
	files Files
	every time.Duration
	log   *slog.Logger

	current atomic.Pointer[material] // nil after Close
	peers   peers
	refused refusals

	mu     sync.Mutex
	status Status // without Peers

	reloads chan chan error // requests of Reload
	stop    context.CancelFunc
	ended   chan struct{} // closed when the goroutine has ended
}

// Check reads the files once and returns all faults, as [Open] would. Each fault begins with the
// name of a field.
func (f Files) Check() error {
	if err := f.checkNames(); err != nil {
		return err
	}
	_, err := f.read().parse(f, time.Now())
	return err
}

// Open reads the files. It returns an error if one of them cannot be used. The caller must close the
// Source.
func Open(f Files, o Options) (*Source, error) {
	if err := f.checkNames(); err != nil {
		return nil, err
	}
	first := f.read()
	m, err := first.parse(f, time.Now())
	if err != nil {
		return nil, err
	}
	if o.PollEvery <= 0 {
		o.PollEvery = DefaultPollEvery
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &Source{
		files: f, every: o.PollEvery, log: logs.New(o.Logger).Logger,
		peers:   peers{open: map[*peer]struct{}{}, changed: make(chan struct{}, 1)},
		reloads: make(chan chan error), stop: stop, ended: make(chan struct{}),
	}
	s.use(m)
	r := reader{Source: s, used: first.digest(), seen: first.digest(), due: time.Now().Add(s.every)}
	r.warn(time.Now())
	go r.run(ctx)
	return s, nil
}

// Close stops reading the files. Connections stay open, and are not closed when a certificate
// expires. Every later handshake fails.
func (s *Source) Close() {
	s.stop()
	<-s.ended
	s.current.Store(nil)
}

// Files returns the names of the files.
func (s *Source) Files() Files { return s.files }

// Reload reads the files and uses their content at once. If it has a fault, Reload returns the fault
// and changes nothing. When Reload returns, every connection to a peer that is no longer trusted is
// closed.
func (s *Source) Reload() error {
	answer := make(chan error, 1)
	select {
	case s.reloads <- answer:
		return <-answer
	case <-s.ended:
		return ErrClosed
	}
}

// Status returns the present status.
func (s *Source) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	status := s.status
	status.Peers = s.peers.count()
	return status
}

// use makes m the current material.
func (s *Source) use(m *material) {
	s.current.Store(m)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Expires, s.status.Fault = m.expires(), nil
}

func (s *Source) failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Fault = err
	s.status.FailedReads++
}

// material returns the current material, or ErrClosed.
func (s *Source) material() (*material, error) {
	if m := s.current.Load(); m != nil {
		return m, nil
	}
	return nil, ErrClosed
}
