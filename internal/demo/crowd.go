package demo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/grpchealth"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// crowd is the instances of a storm that are not part of the story. Each of them is registered with
// the client library, has a lease, and is followed on a Watch of its own. The instances of one zone
// share a process, a gRPC server and a feed, as the instances behind one sidecar do. They have no
// checks: storm.go sets their statuses.
type crowd struct {
	members []*member
	zones   []*crowdZone
}

// member is one instance of the crowd.
type member struct {
	id   health.ID
	team string
	zone *crowdZone
	// Only the goroutine of storm uses the fields below.
	status  health.Status
	flipped time.Time // time of the last flip
}

// crowdZone is the server of the instances of the crowd in one zone.
type crowdZone struct {
	name     string
	feed     *feed.Feed
	listener net.Listener
	via      string // HOST:PORT at which the coordinator reaches the listener
	client   *client.Client
}

// The parts of the names of services in the crowd, such as accounts-api. There is a name for each
// pair.
var (
	crowdDomains = []string{
		"accounts", "ads", "auth", "billing", "cart", "chat", "coupons", "delivery", "emails", "feeds", "geo", "images",
		"inventory", "loyalty", "maps", "media", "pricing", "profiles", "ratings", "refunds", "reports", "reviews",
		"shipping", "tax", "wallet",
	}
	crowdKinds = []string{
		"api", "batch", "cache", "cron", "edge", "events", "export", "gateway", "graph", "import", "index", "ingest",
		"jobs", "proxy", "query", "queue", "stream", "sync", "webhooks", "worker",
	}
	crowdTeams = []string{"growth", "logistics", "media", "money", "trust"}
)

// perCrowdService is the number of instances in each service of the crowd, except the last one.
const perCrowdService = 20

// crowdServiceName returns the name of the service with number n in the crowd. Numbers up to
// len(crowdDomains)*len(crowdKinds) have different names.
func crowdServiceName(n int) string {
	return crowdDomains[n%len(crowdDomains)] + "-" + crowdKinds[n/len(crowdDomains)%len(crowdKinds)]
}

// newCrowd opens the servers of n instances. reach returns, for a zone, the address at which the
// zone reaches the coordinator, and the address at which the coordinator reaches a listener.
func newCrowd(n int, reach func(zone, listener string) (coordinator, via string, err error)) (*crowd, error) {
	c := &crowd{}
	for _, name := range zones {
		z, err := newCrowdZone(name, reach)
		if err != nil {
			return nil, errors.Join(err, c.close())
		}
		c.zones = append(c.zones, z)
	}
	for i := range n {
		c.members = append(c.members, newMember(i, c.zones[i%len(c.zones)]))
	}
	return c, nil
}

// newMember returns the member with number i of all.
func newMember(i int, z *crowdZone) *member {
	service := i / perCrowdService
	return &member{
		id:   health.ID{Service: crowdServiceName(service), Instance: fmt.Sprintf("i%02d", i%perCrowdService)},
		zone: z, team: crowdTeams[service%len(crowdTeams)], status: health.Serving,
	}
}

func newCrowdZone(name string, reach func(zone, listener string) (coordinator, via string, err error)) (*crowdZone, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	coordinator, via, err := reach(name, l.Addr().String())
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	c, err := client.New(client.Config{Coordinator: coordinator, Insecure: true, Logger: errorLogger()})
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &crowdZone{name: name, feed: feed.New(rand.Uint64(), 0), listener: l, via: via, client: c}, nil
}

// close closes what newCrowd has opened. It is for a crowd that does not run.
func (c *crowd) close() error {
	var errs []error
	for _, z := range c.zones {
		errs = append(errs, z.client.Close(), z.listener.Close())
	}
	return errors.Join(errs...)
}

// run serves and registers the crowd and plays the storm, until ctx ends. It calls begun when all
// members are registered and the storm begins.
func (c *crowd) run(ctx context.Context, begun func()) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	var serving sync.WaitGroup
	var servers []*grpc.Server
	s := newStorm(c.members)
	s.publish(s.all(time.Now()))
	for _, z := range c.zones {
		g := grpc.NewServer(wire.SharedServerOptions()...)
		grpchealth.New(grpchealth.Config{
			Feed: z.feed, MaxWatchers: MaxStormInstances, MaxWatchersPerPeer: MaxStormInstances,
			Rights: func(context.Context) *access.Rights { return access.ReadEvidence },
		}).Register(g)
		servers = append(servers, g)
		serving.Go(func() { end(g.Serve(z.listener)) })
	}
	registered := make(chan struct{})
	serving.Go(func() {
		defer close(registered)
		if c.register(ctx); ctx.Err() == nil {
			begun()
		}
	})
	s.run(ctx, registered)
	for i, z := range c.zones {
		_ = z.client.Close() // the coordinator ends too, so that nobody needs to deregister
		servers[i].Stop()
	}
	serving.Wait()
	return context.Cause(ctx)
}

// register registers all members, and returns when the coordinator has stored them or ctx ends.
func (c *crowd) register(ctx context.Context) {
	var workers sync.WaitGroup
	for w := range registerWorkers {
		workers.Go(func() {
			for i := w; i < len(c.members) && ctx.Err() == nil; i += registerWorkers {
				c.members[i].register(ctx)
			}
		})
	}
	workers.Wait()
}

// registerWorkers is the number of registrations at the same time. With thousands of them, calls
// would exceed their time on a busy machine, and would be repeated.
const registerWorkers = 48

func (m *member) register(ctx context.Context) {
	// An error means that ctx has ended, because the coordinator refuses no member.
	_, _ = m.zone.client.Register(ctx, client.Instance{
		Service: m.id.Service, Instance: m.id.Instance, Address: m.zone.via, HealthName: m.healthName(),
		Traffic: health.Traffic{Address: m.zone.listener.Addr().String()},
		Labels:  map[string]string{"team": m.team}, Zone: m.zone.name, Version: "3.0.1",
		TTL: crowdLease, Feed: m.zone.feed, ShowReasons: true,
	})
}

// crowdLease is the length of a lease in the crowd. It is long, because each renewal is a call.
const crowdLease = 2 * time.Minute

// healthName is the name of the member in the feed of its zone.
func (m *member) healthName() string { return m.id.Service + "." + m.id.Instance }

// published returns the state that a member publishes in the feed of its zone.
func (c *crowd) published(id health.ID) (health.State, bool) {
	for _, z := range c.zones {
		if state, ok := stateOf(z.feed, id.Service+"."+id.Instance); ok {
			return state, true
		}
	}
	return health.State{}, false
}
