package coordinator

import (
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/coordinator/api"
	"github.com/meshhealth/meshhealth/internal/coordinator/follow"
	"github.com/meshhealth/meshhealth/internal/coordinator/metrics"
	"github.com/meshhealth/meshhealth/internal/coordinator/registry"
	"github.com/meshhealth/meshhealth/internal/coordinator/xds"
	"github.com/meshhealth/meshhealth/internal/logs"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// maxNamed is the largest number of names in one list of a GetCoordinator response.
const maxNamed = 20

// statsSource collects the stats of all components.
type statsSource struct {
	started    time.Time
	registry   *registry.Registry
	configured *configured
	watcher    *follow.Manager
	xds        *xds.Server
	api        *api.Server
	budgets    *wire.Budgets // message budget of each instance; nil if there is no limit
	logs       *logs.Logger

	certificates []Certificate
	open         bool          // Config.InsecureOpen
	accessFaults atomic.Uint64 // number of times that the file of the access policy could not be used
}

// metrics returns the present stats of all components. It is called at each scrape of the metrics,
// and for each call of GetCoordinator.
func (s *statsSource) metrics() metrics.Stats {
	m := metrics.Stats{Watchers: s.api.Watchers(), Followers: s.watcher.Modes()}
	m.Followers[health.SourcePush.String()] = s.countPushed()
	m.QueueWaiting, m.QueueLost = s.registry.Queue()
	m.CommitAge = s.registry.CommitAge()
	m.LateWakes, m.LateAt = s.registry.Late()
	m.LogDropped = s.logs.Dropped()
	g := s.registry.Stats()
	m.Guards, m.Score, m.Overrides = len(g.Guards), g.Score, g.Overrides
	m.StoreFailing = g.StoreError != ""
	m.InsecureOpen, m.AccessFaults = s.open, s.accessFaults.Load()
	m.Coverage, m.Breakers = s.watcher.Coverage(), s.watcher.Breakers()
	_, m.Flooding = s.budgets.Flooding(time.Now(), 0)
	m.Dropped = s.budgets.Dropped()
	m.Retries, m.RetriesDenied = s.watcher.Retries()
	x := s.xds.Stats()
	for _, c := range s.certificates {
		status := c.Source.Status()
		m.Certificates = append(m.Certificates, metrics.Certificate{Section: c.Section, Expires: status.Expires, FailedReads: status.FailedReads})
	}
	m.XDSStreams, m.XDSBehind, m.XDSResponses, m.XDSRejections = x.Streams, x.Behind, x.Responses, x.Rejections
	return m
}

// countPushed returns the number of instances that push their status to the coordinator. The
// coordinator does not call them.
func (s *statsSource) countPushed() int {
	n := 0
	for e := range s.registry.Feed().Cut().Of() {
		if e.Pushed {
			n++
		}
	}
	return n
}

// describe fills in the stats of all components in a GetCoordinator response.
func (s *statsSource) describe(r *pb.GetCoordinatorResponse) {
	m := s.metrics()
	r.Uptime = durationpb.New(time.Since(s.started))
	r.Followers = map[string]uint32{}
	for mode, n := range m.Followers {
		if n > 0 {
			r.Followers[mode] = uint32(n)
		}
	}
	if m.CommitAge > 0 {
		r.StoreCommitAge = durationpb.New(m.CommitAge)
	}
	r.StoreQueue, r.StoreLost = uint32(m.QueueWaiting), m.QueueLost
	if !m.LateAt.IsZero() {
		r.ForgivenAge = durationpb.New(time.Since(m.LateAt))
	}
	r.PollCoverage = m.Coverage
	r.OpenTargets, _ = s.watcher.OpenAddresses(maxNamed)
	r.Breakers = map[string]uint32{}
	for state, n := range m.Breakers {
		r.Breakers[state] = uint32(n)
	}
	for _, n := range m.XDSStreams {
		r.XdsStreams += uint32(n)
	}
	r.XdsBehind, r.XdsRejected, r.XdsRejections = uint32(m.XDSBehind), m.XDSRejections, s.xds.History(maxNamed)
	s.describeJudgement(r)
	s.describeSize(r)
}

// describeJudgement fills in what makes the coordinator decide differently about instances: its
// health score, tripped guards and the like.
func (s *statsSource) describeJudgement(r *pb.GetCoordinatorResponse) {
	g := s.registry.Stats()
	r.Score, r.Overrides, r.StoreError = uint32(g.Score), uint32(g.Overrides), g.StoreError
	if !g.AmnestyEnd.IsZero() {
		r.AmnestyUntil = timestamppb.New(g.AmnestyEnd)
	}
	for _, t := range g.Guards {
		r.Guards = append(r.Guards, &pb.Guard{
			Zone: t.Zone, Since: timestamppb.New(t.Since), Known: uint32(t.Known), Doubted: uint32(t.Suspect), Faded: t.Expired,
		})
	}
	r.FloodingInstances, _ = s.budgets.Flooding(time.Now(), maxNamed)
	r.UnknownServices = s.unknownServices()
}

// describeSize fills in the numbers of instances, of unconfirmed instances and of services.
func (s *statsSource) describeSize(r *pb.GetCoordinatorResponse) {
	for e := range s.registry.Feed().Cut().Of() {
		switch {
		case e.Spec != nil:
			r.Instances++
			if e.Unconfirmed {
				r.Unconfirmed++
			}
		case e.ID.Instance == "" && e.ID.Service != "" && e.ID.Service != health.MeshName:
			r.Services++
		}
	}
}

// unknownServices returns the services that are named in a policy but have no registered instance.
// A policy names its own service and its dependencies. unknownServices returns at most maxNamed
// services.
func (s *statsSource) unknownServices() []string {
	unknown := map[string]bool{}
	for name, p := range s.configured.servicePolicies() {
		for _, n := range slices.Concat([]string{name}, p.DependsOn, p.SoftDependsOn) {
			if _, known := s.registry.Feed().Get(health.ID{Service: n}); !known {
				unknown[n] = true
			}
		}
	}
	all := slices.Sorted(maps.Keys(unknown))
	return all[:min(len(all), maxNamed)]
}
