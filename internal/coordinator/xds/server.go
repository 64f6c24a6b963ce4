package xds

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	discoverypb "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// The default limits.
const (
	// DefaultMaxStreams is the largest number of open streams, and DefaultMaxStreamsPerPeer that of one
	// peer. A stream whose client does not read costs about 200 KiB.
	DefaultMaxStreams        = 10_000
	DefaultMaxStreamsPerPeer = 1024
	// DefaultMaxNames is the largest number of resource names of one stream.
	DefaultMaxNames = 50_000
	// DefaultMaxSubscriptions is the largest number of resource names of all streams together. A name
	// that many streams have needs up to 160 bytes of memory for each of them.
	DefaultMaxSubscriptions = 5_000_000
	// DefaultMaxBytes is the largest number of bytes of memory for the resource names of all streams
	// together. A name that only one stream has needs 800 bytes, and its length once or twice.
	DefaultMaxBytes = 1 << 30
)

// maxNameBytes is the largest number of bytes of the resource names of one stream: 50,000 names of 335
// bytes.
const maxNameBytes = 16 << 20

// maxHistory is the largest number of rejections in the history of a server.
const maxHistory = 1000

// Config has the settings of a Server. Feed is required.
type Config struct {
	// Feed has the instances.
	Feed *feed.Feed
	// SettleAfter is the time from the start until all instances have registered again, if the
	// coordinator has started without registrations in its store. A client that has resources from an
	// earlier run gets nothing before that. So its endpoint sets do not shrink to the instances that
	// have registered first.
	SettleAfter time.Duration
	// CompleteAfter is the time from the start until every registration of an earlier run has been
	// renewed or has expired. Before that, a client from an earlier run keeps the resources of a
	// service that was not seen since the start. A value below SettleAfter means SettleAfter.
	CompleteAfter time.Duration
	// May returns a function that reports whether the caller of a stream may see the addresses of a
	// service. A service that the caller may not see does not exist for it. The function is called
	// while the server holds its lock, so it must be fast. It may also be called concurrently, by AskAgain. nil allows every caller to see everything.
	May func(ctx context.Context) func(service string) bool
	// Certificates names the certificates for services that speak TLS.
	Certificates Certificates
	// MaxStreams, MaxStreamsPerPeer, MaxNames, MaxSubscriptions and MaxBytes are limits; 0 means the
	// default. The last two refuse only requests that add names. The subscriptions of a client that
	// asks for all resources grow with each new service.
	MaxStreams, MaxStreamsPerPeer, MaxNames, MaxSubscriptions, MaxBytes int
	// Acknowledged is called for each response that a client accepts, if the response has a change. It
	// gets the time from the publication of the change until now. Acknowledged must not block. nil
	// means that nobody is told.
	Acknowledged func(time.Duration)
	// Logger receives a record for each rejection of a client that is not the same as its last one.
	// nil means no log.
	Logger *slog.Logger
}

func (c *Config) setDefaults() {
	if c.May == nil {
		c.May = func(context.Context) func(string) bool { return func(string) bool { return true } }
	}
	c.MaxStreams = cmp.Or(c.MaxStreams, DefaultMaxStreams)
	c.MaxStreamsPerPeer = cmp.Or(c.MaxStreamsPerPeer, DefaultMaxStreamsPerPeer)
	if c.MaxNames == 0 {
		c.MaxNames = DefaultMaxNames
	}
	if c.MaxSubscriptions == 0 {
		c.MaxSubscriptions = DefaultMaxSubscriptions
	}
	c.MaxBytes = cmp.Or(c.MaxBytes, DefaultMaxBytes)
	if c.Acknowledged == nil {
		c.Acknowledged = func(time.Duration) {}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
}

// Server serves ADS. It sends nothing before Loaded is called. Its methods may be called concurrently.
type Server struct {
	discoverypb.UnimplementedAggregatedDiscoveryServiceServer
	cfg     Config
	limiter *wire.StreamLimiter

	// publishing guards sources, and orders the calls of Apply.
	publishing sync.Mutex
	sources    map[string]*source

	// mu guards the fields below, and all that they refer to. It is not held while anything is
	// rendered, sent or received.
	mu         sync.Mutex
	catalog    *catalog
	streams    map[uint64]*stream
	lastID     uint64
	warm       bool        // true once the server may send
	loaded     bool        // true once Loaded was called
	loadedAt   uint64      // revision of the feed at that time
	read       bool        // true once a step of the feed was applied
	applied    uint64      // revision of the feed that was applied last
	history    []rejection // the oldest first
	rejections uint64
	sent       uint64

	receivers sync.WaitGroup
	ended     chan struct{} // closed when the server ends; guarded by mu
}

// New returns a server that knows no service.
func New(cfg Config) *Server {
	cfg.setDefaults()
	return &Server{
		cfg: cfg, limiter: wire.NewStreamLimiter("xDS", cfg.MaxStreams, cfg.MaxStreamsPerPeer), sources: map[string]*source{}, catalog: newCatalog(cfg.Certificates),
		streams: map[uint64]*stream{}, ended: make(chan struct{}),
	}
}

// Apply applies changes of instances, and wakes the streams that want one of them. It returns when the
// changes are published. It does not wait for a client. Run calls it for the changes of the feed.
func (s *Server) Apply(changes []Change) {
	s.publishing.Lock()
	defer s.publishing.Unlock()
	s.publish(s.render(changes))
}

// published is a service and what clients get of it from now on.
type published struct {
	service string
	next    *rendered
}

// render renders the services that the changes affect. The caller holds s.publishing.
func (s *Server) render(changes []Change) []published {
	now := time.Now()
	affected := map[string]bool{}
	for i := range changes {
		c := &changes[i]
		src := s.sources[c.Service]
		if src == nil {
			src = &source{}
			s.sources[c.Service] = src
		}
		if src.apply(c) {
			affected[c.Service] = true
		} else if len(src.endpoints) == 0 && src.last == nil {
			delete(s.sources, c.Service)
		}
	}
	all := make([]published, 0, len(affected))
	for name := range affected {
		src := s.sources[name]
		p := published{service: name}
		if len(src.endpoints) == 0 {
			delete(s.sources, name)
		} else {
			p.next = src.render(name, now)
		}
		all = append(all, p)
	}
	return all
}

func (s *Server) publish(all []published) {
	slices.SortFunc(all, func(a, b published) int { return strings.Compare(a.service, b.service) })
	s.mu.Lock()
	for _, p := range all {
		s.catalog.publish(p.service, p.next)
	}
	woken := s.wokenStreams()
	s.mu.Unlock()
	for _, st := range woken {
		st.wake()
	}
}

// wokenStreams returns the streams that have something to send. The caller holds s.mu.
func (s *Server) wokenStreams() []*stream {
	sessions := s.catalog.takeAwake()
	woken := make([]*stream, 0, len(sessions))
	for _, session := range sessions {
		if st := s.streams[session.id]; st != nil {
			woken = append(woken, st)
		}
	}
	return woken
}
