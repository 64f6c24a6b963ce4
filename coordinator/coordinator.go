package coordinator

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"google.golang.org/grpc"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/audit"
	"github.com/meshhealth/meshhealth/internal/coordinator/api"
	"github.com/meshhealth/meshhealth/internal/coordinator/follow"
	"github.com/meshhealth/meshhealth/internal/coordinator/metrics"
	"github.com/meshhealth/meshhealth/internal/coordinator/registry"
	"github.com/meshhealth/meshhealth/internal/coordinator/web"
	"github.com/meshhealth/meshhealth/internal/coordinator/xds"
	"github.com/meshhealth/meshhealth/internal/fields"
	"github.com/meshhealth/meshhealth/internal/logs"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// Coordinator collects the health of the instances of a mesh and serves it over gRPC and
// HTTP. New makes a Coordinator, and Run runs it.
type Coordinator struct {
	cfg     Config
	logs    *logs.Logger // logger whose queue writes to Config.Logger
	started time.Time

	listeners listeners
	access    *api.Access
	audit     *audit.Log // nil if nothing is kept on disk
	troubles  troubles
	store     store.Store
	peers     *api.Peers    // counts the connections of all listeners
	budgets   *wire.Budgets // message budget of each instance; nil if there is no limit

	registry   *registry.Registry
	configured *configured
	watcher    *follow.Manager
	xds        *xds.Server
	api        *api.Server
	web        *web.Server
	metrics    *metrics.Metrics
	stats      *statsSource
}

// New checks cfg, opens the listeners and the store, and loads the stored state. If it fails, it
// closes everything that it has opened. If it succeeds, the caller must call Run or Close.
func New(ctx context.Context, cfg Config) (*Coordinator, error) {
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("coordinator: %w", err)
	}
	queued := logs.New(cfg.Logger)
	cfg.Logger = queued.Logger
	c := &Coordinator{cfg: cfg, logs: queued, started: time.Now()}
	c.peers = api.NewPeers(cfg.MaxConnsPerPeer, cfg.IPv6Prefix)
	if cfg.TargetBudget != Off {
		c.budgets = wire.NewBudgets(wire.TargetRate, wire.TargetBurst)
	}
	if err := c.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("coordinator: %w", err), c.Close())
	}
	return c, nil
}

// open opens the listeners and the store, and makes the components.
func (c *Coordinator) open(ctx context.Context) (err error) {
	// The listeners and the store of the caller are set first. So New closes them even if
	// parseTargets or a later step fails.
	c.listeners, c.store = listeners{grpc: c.cfg.Listener, http: c.cfg.HTTPListener}, c.cfg.Store
	targets, err := parseTargets(c.cfg.Static)
	if err != nil {
		return err
	}
	if c.listeners, err = openListeners(ctx, &c.cfg); err != nil {
		return err
	}
	if c.store, err = openStore(&c.cfg); err != nil {
		return err
	}
	if c.listeners.unix, err = openSocket(ctx, &c.cfg); err != nil {
		return err
	}
	if c.audit, err = openAudit(&c.cfg); err != nil {
		return err
	}
	if c.access, err = newAccess(&c.cfg, &c.listeners, c.audit); err != nil {
		return err
	}
	c.registry, err = registry.New(ctx, registry.Config{
		Store: c.store, Policy: c.cfg.Policy, Epoch: newEpoch(), StoreTrust: c.cfg.StoreTrust,
		MaxInstances: c.cfg.MaxInstances, Logger: c.cfg.Logger,
		// c.metrics is made later, because it needs the feed of the registry. The registry calls
		// this function only after Run was called, when c.metrics is not nil.
		Published: func(changes []health.Change) { c.metrics.Count(changes) },
	})
	if err != nil {
		return err
	}
	c.configured = newConfigured(c.registry, targets, c.cfg.Policy.Services)
	return c.wire()
}

// wire makes the components that read the registry's feed, and connects these components.
func (c *Coordinator) wire() (err error) {
	registerer, inbound, outbound := prometheus.NewRegistry(), metrics.ServerMetrics(), metrics.ClientMetrics()
	registerer.MustRegister(inbound, outbound, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	targets := c.listeners.targets(c.access)
	c.watcher = c.newWatcher(c.access, targets, outbound)
	c.xds = c.newXDS()
	// The API needs the stats and the stats need the API. So the API gets the method describe,
	// which it calls only after both exist.
	c.stats = &statsSource{
		started: c.started, registry: c.registry, configured: c.configured,
		watcher: c.watcher, xds: c.xds, budgets: c.budgets, logs: c.logs,
		certificates: c.cfg.Certificates, open: c.cfg.InsecureOpen,
	}
	c.api = c.newAPI(targets, inbound)
	c.stats.api = c.api
	inbound.Initialize(c.api.Services())
	c.web, err = web.New(web.Config{
		Feed: c.registry.Feed(), Metrics: registerer, IPv6Prefix: c.cfg.IPv6Prefix, Methods: c.api.HTTP(), Build: c.cfg.Build,
		NoPage: c.cfg.Web == Off, Hosts: c.cfg.HTTPHosts, Prefix: c.cfg.WebPrefix, TLS: c.cfg.HTTPTLS, Insecure: c.cfg.InsecureOpen,
		MayScrape: c.access.MayScrape,
	})
	if err != nil {
		return err
	}
	c.metrics, err = metrics.New(metrics.Config{Feed: c.registry.Feed(), MaxInstances: c.cfg.MetricInstances, Stats: c.stats.metrics})
	if err != nil {
		return err
	}
	return registerer.Register(c.metrics)
}

func (c *Coordinator) newWatcher(a *api.Access, targets *wire.Targets, calls *metrics.ClientCalls) *follow.Manager {
	policy := c.cfg.Policy.WithDefaults()
	return follow.New(follow.Config{
		Feed: c.registry.Feed(), Observe: c.registry.Observe, Dial: c.cfg.Dial, Targets: targets, Identity: a.IdentityOf, Placed: a.Placed,
		Score: c.registry.Score, UnreachableAfter: policy.UnreachableAfter, RecoverAfter: policy.RecoverAfter,
		PollEvery: c.cfg.PollEvery, Retry: c.cfg.Retry, Budgets: c.budgets, Logger: c.cfg.Logger,
		Protocol: func(service string) health.Protocol { return c.configured.servicePolicies()[service].Protocol },
		DialOptions: []grpc.DialOption{
			grpc.WithChainUnaryInterceptor(calls.Unary()), grpc.WithChainStreamInterceptor(calls.Stream()),
		},
	})
}

func (c *Coordinator) newXDS() *xds.Server {
	cfg := xds.Config{
		Feed: c.registry.Feed(), Certificates: c.cfg.XDSCertificates, Logger: c.cfg.Logger,
		// c.api and c.metrics are made later. They are not nil when a client connects.
		May:          func(ctx context.Context) func(string) bool { return c.api.MayLocate(ctx) },
		Acknowledged: func(latency time.Duration) { c.metrics.ObserveXDS(latency) },
	}
	if !hasInstances(c.registry.Feed()) {
		cfg.SettleAfter, cfg.CompleteAfter = c.cfg.Policy.WithDefaults().Amnesty, wire.MaxTTL
	}
	return xds.New(cfg)
}

// hasInstances reports whether the store had registrations, if it is called before Run.
func hasInstances(f *feed.Feed) bool {
	for e := range f.Cut().Of() {
		if e.Spec != nil {
			return true
		}
	}
	return false
}

func (c *Coordinator) newAPI(targets *wire.Targets, calls *metrics.ServerCalls) *api.Server {
	local := onLoopback(c.listeners.grpc)
	return api.New(api.Config{
		Registry: c.registry, Feed: c.registry.Feed(), Figures: c.watcher.Figures, Targets: targets, XDS: c.xds,
		Access: c.access, Audit: auditorOf(c.audit), Reflection: local,
		Unary:  []grpc.UnaryServerInterceptor{calls.Unary()},
		Stream: []grpc.StreamServerInterceptor{calls.Stream()},
		Peers:  c.peers, MaxWatchers: c.cfg.MaxWatchers,
		MaxWatchersPerPeer: c.cfg.MaxWatchersPerPeer, Stats: c.stats.describe, Budgets: c.budgets,
		Services: c.configured.servicePolicies, Build: c.cfg.Build, Logger: c.cfg.Logger,
	})
}

// newEpoch returns a random epoch, which identifies this start of the coordinator. The epoch is
// never 0, because 0 means that a page token contains no epoch.
func newEpoch() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // since Go 1.24 rand.Read never returns an error: it ends the process instead
	return binary.BigEndian.Uint64(b[:]) | 1
}

// Addr returns the address of the gRPC listener.
func (c *Coordinator) Addr() net.Addr { return c.listeners.grpc.Addr() }

// HTTPAddr returns the address of the HTTP listener, or nil if HTTP is off.
func (c *Coordinator) HTTPAddr() net.Addr {
	if c.listeners.http == nil {
		return nil
	}
	return c.listeners.http.Addr()
}

// Run runs the coordinator until ctx ends or a component fails. It returns nil if ctx has ended.
//
// When it ends, Run first stops the API, which ends every Watch with UNAVAILABLE. Then the
// coordinator stops following instances, and the registry commits the waiting records. If the store
// takes longer than 5 s for this, Run does not close the store, and returns an error that names the
// store.
//
// Run also logs its error, as an ERROR.
func (c *Coordinator) Run(ctx context.Context) error {
	err := c.run(ctx)
	if err != nil {
		c.cfg.Logger.Error("the coordinator has ended", "error", err)
	}
	c.logs.Flush(logs.FlushTime)
	return err
}

func (c *Coordinator) run(ctx context.Context) error {
	owner := newGroup(context.WithoutCancel(ctx))
	owner.start("registry", c.registry.Run)
	if c.audit != nil {
		owner.start("audit log", c.audit.Run)
	}
	others := newGroup(ctx)
	c.startOthers(others)
	err := others.wait()
	owner.stop()
	ended := owner.wait()
	if errors.Is(ended, registry.ErrHangs) {
		// The store is not closed, because Close would wait for the commit in progress.
		return errors.Join(err, fmt.Errorf("%w; %s is not closed", ended, storeName(&c.cfg)), c.listeners.close())
	}
	return errors.Join(err, ended, c.Close())
}

// startOthers starts all components except the registry, which must end last.
func (c *Coordinator) startOthers(g *group) {
	g.start("static registrations", func(ctx context.Context) error {
		err := c.configured.registerTargets(ctx)
		if ctx.Err() != nil {
			return nil // the error comes from the end of ctx: the coordinator stops as intended
		}
		c.xds.Loaded()
		return err
	})
	g.start("xDS", c.xds.Run)
	if c.cfg.InsecureOpen {
		g.start("warning", c.warnOpen)
	}
	if c.audit != nil {
		g.start("audit log", c.watchAudit)
	}
	g.start("watch", c.watcher.Run)
	g.start("gRPC", func(ctx context.Context) error { return c.api.Serve(ctx, c.apiListeners()...) })
	if c.listeners.http != nil {
		g.start("HTTP", func(ctx context.Context) error { return c.web.Serve(ctx, c.peers.Listen(c.listeners.http)) })
	}
}

// apiListeners returns the listeners for gRPC with their credentials.
func (c *Coordinator) apiListeners() []api.Listener {
	all := []api.Listener{{Listener: c.listeners.grpc, Credentials: c.cfg.Credentials}}
	if c.listeners.unix != nil {
		all = append(all, api.Listener{Listener: c.listeners.unix})
	}
	return all
}

// Socket returns the path of the unix socket, or "" if there is none.
func (c *Coordinator) Socket() string { return c.listeners.socketPath() }

// Reload replaces Config.Static by targets, and Config.Policy.Services by services. If a target or
// a policy is not valid, Reload changes nothing and returns all errors, by field.
//
// Reload returns when the change is published. If the store refuses records at the moment, new
// targets are followed at once and stored later. Reload may be called only while Run runs.
// Concurrent calls run one after the other.
func (c *Coordinator) Reload(ctx context.Context, targets []Target, services map[string]health.ServicePolicy) error {
	all, err := parseTargets(targets)
	policy := c.cfg.Policy
	policy.Services = services
	if err := errors.Join(err, policy.Validate()); err != nil {
		return fmt.Errorf("coordinator: %w", err)
	}
	return c.configured.replace(ctx, all, services)
}

// SetAccess replaces Config.Access. Streams whose callers have other rights under the new policy are ended:
// no message is sent on them after SetAccess has returned. The result is their number. An error means that
// the policy is not valid, and that nothing has changed. SetAccess may be called only while Run runs, and
// only if Config.Access was set.
func (c *Coordinator) SetAccess(policy *AccessPolicy) (ended int, err error) {
	if c.cfg.Access == nil {
		return 0, &fields.Error{Field: "Access", Err: errors.New("was not set at the start; allowed: a restart with a policy")}
	}
	compiled, err := access.Compile(policy)
	if err != nil {
		return 0, err
	}
	ended = c.access.Set(compiled)
	c.auditPolicy(len(policy.Rules), ended)
	return ended, nil
}

// Close closes the listeners and the store of a Coordinator that was never run. Run itself closes
// the listeners and the store.
func (c *Coordinator) Close() error {
	err := c.listeners.close()
	if c.audit != nil {
		err = errors.Join(err, c.audit.Close())
	}
	if c.store != nil {
		err = errors.Join(err, closeStore(c.store, storeName(&c.cfg)))
	}
	return err
}
