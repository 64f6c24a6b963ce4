package coordinator

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"google.golang.org/grpc"

	"github.com/meshhealth/meshhealth/coordinator/boltstore"
	"github.com/meshhealth/meshhealth/coordinator/metrics"
	"github.com/meshhealth/meshhealth/coordinator/registry"
	"github.com/meshhealth/meshhealth/coordinator/rpc"
	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/coordinator/watch"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// StoreFile is the name of the store's file in Config.DataDir.
const StoreFile = "meshhealth.db"

// Coordinator is one running, or about to run, coordinator.
type Coordinator struct {
	cfg     Config
	started time.Time

	// reloading has a token for whoever changes what is configured.
	reloading chan struct{}
	static    []wire.Registration
	// services are how single services are judged now.
	services atomic.Pointer[map[string]health.ServicePolicy]

	listener, http net.Listener
	store          store.Store
	metrics        *prometheus.Registry
	inbound        *metrics.ServerCalls
	outbound       *metrics.ClientCalls

	registry *registry.Registry
	watcher  *watch.Watcher
	rpc      *rpc.Server
	follower *metrics.Metrics
}

// New checks cfg, opens the listeners and the store, and loads what it knows.
// Run must follow, or Close.
func New(ctx context.Context, cfg Config) (*Coordinator, error) {
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("coordinator: %w", err)
	}
	c := &Coordinator{
		cfg: cfg, started: time.Now(), store: cfg.Store, listener: cfg.Listener, http: cfg.HTTPListener,
		reloading: make(chan struct{}, 1),
	}
	c.services.Store(&cfg.Policy.Services)
	if err := c.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("coordinator: %w", err), c.Close())
	}
	return c, nil
}

// open takes what must be had before anything can work.
func (c *Coordinator) open(ctx context.Context) (err error) {
	if c.static, err = registrationsOf(c.cfg.Static); err != nil {
		return err
	}
	if err := c.listen(ctx); err != nil {
		return err
	}
	if err := c.openStore(); err != nil {
		return err
	}
	c.registry, err = registry.New(ctx, registry.Config{
		Store: c.store, Policy: c.cfg.Policy, Epoch: newEpoch(), StoreTrust: c.cfg.StoreTrust,
		MaxInstances: c.cfg.MaxInstances, Logger: c.cfg.Logger,
	})
	if err != nil {
		return err
	}
	return c.plug()
}

// plug makes the rooms out of each other.
func (c *Coordinator) plug() (err error) {
	c.metrics, c.inbound, c.outbound = prometheus.NewRegistry(), metrics.ServerMetrics(), metrics.ClientMetrics()
	c.metrics.MustRegister(c.inbound, c.outbound, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	targets := c.targets()
	c.watcher = c.newWatcher(targets)
	c.rpc = c.newRPC(targets)
	c.inbound.Initialize(c.rpc.Services())
	c.follower, err = metrics.New(metrics.Config{
		Registerer: c.metrics, Feed: c.registry.Feed(), MaxInstances: c.cfg.MetricInstances, Stats: c.stats,
	})
	return err
}

func (c *Coordinator) newWatcher(targets *wire.Targets) *watch.Watcher {
	dial := c.cfg.Dial.Context
	if dial == nil {
		dial = watch.Dialer(targets)
	}
	policy := c.cfg.Policy.WithDefaults()
	return watch.New(watch.Config{
		Feed: c.registry.Feed(), Observe: c.registry.Observe, Dial: dial,
		Credentials: c.cfg.Dial.Credentials, ServiceCredentials: c.cfg.Dial.Services,
		Score: c.registry.Score, UnreachableAfter: policy.UnreachableAfter, RecoverAfter: policy.RecoverAfter,
		PollEvery: c.cfg.PollEvery, Retry: c.cfg.Retry, Logger: c.cfg.Logger,
		DialOptions: []grpc.DialOption{
			grpc.WithChainUnaryInterceptor(c.outbound.Unary()), grpc.WithChainStreamInterceptor(c.outbound.Stream()),
		},
	})
}

func (c *Coordinator) newRPC(targets *wire.Targets) *rpc.Server {
	local := c.onLoopback() && c.cfg.Credentials == nil
	return rpc.New(rpc.Config{
		Registry: c.registry, Feed: c.registry.Feed(), Targets: targets,
		Trusting: c.cfg.Insecure || local, Reflection: c.onLoopback(), Credentials: c.cfg.Credentials,
		Unary:           []grpc.UnaryServerInterceptor{c.inbound.Unary()},
		Stream:          []grpc.StreamServerInterceptor{c.inbound.Stream()},
		MaxConnsPerPeer: c.cfg.MaxConnsPerPeer, MaxWatchers: c.cfg.MaxWatchers,
		MaxWatchersPerPeer: c.cfg.MaxWatchersPerPeer, Stats: c.describe,
		Services: func() map[string]health.ServicePolicy { return *c.services.Load() },
		Build:    c.cfg.Build, Logger: c.cfg.Logger,
	})
}

func (c *Coordinator) openStore() (err error) {
	switch {
	case c.store != nil:
	case c.cfg.DataDir == "":
		c.store = store.NewMemory(0)
	default:
		// A nil *boltstore.Store must not become a store.Store that is not nil.
		s, err := boltstore.Open(filepath.Join(c.cfg.DataDir, StoreFile), boltstore.Options{})
		if err != nil {
			return err
		}
		c.store = s
	}
	return nil
}

// Close frees what New has opened. Only a Coordinator that was never run needs
// it.
func (c *Coordinator) Close() error {
	var errs []error
	for _, l := range []net.Listener{c.listener, c.http} {
		if l != nil {
			errs = append(errs, closed(l.Close()))
		}
	}
	if c.store != nil {
		errs = append(errs, c.store.Close())
	}
	return errors.Join(errs...)
}

// closed drops the error of a second Close.
func closed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func newEpoch() uint64 {
	var b [8]byte
	// Since Go 1.24 this does not fail: it ends the process instead.
	_, _ = rand.Read(b[:])
	// 0 would be the epoch of a token that says nothing.
	return binary.BigEndian.Uint64(b[:]) | 1
}
