package coordinator

import (
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/meshhealth/meshhealth/coordinator/metrics"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

// stats is what the metrics ask for at each scrape.
func (c *Coordinator) stats() metrics.Stats {
	s := metrics.Stats{Watchers: c.rpc.Watchers(), Followers: c.watcher.Modes()}
	s.Followers[health.SourcePush.String()] = c.pushed()
	s.QueueWaiting, s.QueueLost = c.registry.Queue()
	s.LateWakes, s.LateAt = c.registry.Late()
	g := c.registry.Glance()
	s.Guards, s.Score, s.Overrides = len(g.Guards), g.Score, g.Overrides
	s.Coverage, s.Breakers = c.watcher.Coverage(), c.watcher.Breakers()
	s.Retries, s.RetriesDenied = c.watcher.Retries()
	return s
}

// pushed counts the instances that push their status, which nobody follows.
func (c *Coordinator) pushed() int {
	entries, _ := c.registry.Feed().Snapshot()
	n := 0
	for _, e := range entries {
		if e.Pushed {
			n++
		}
	}
	return n
}

// describe fills in what GetCoordinator answers.
func (c *Coordinator) describe(r *pb.GetCoordinatorResponse) {
	s := c.stats()
	r.Uptime = durationpb.New(time.Since(c.started))
	r.Followers = map[string]uint32{}
	for mode, n := range s.Followers {
		if n > 0 {
			r.Followers[mode] = uint32(n)
		}
	}
	r.StoreQueue, r.StoreLost = uint32(s.QueueWaiting), s.QueueLost
	if !s.LateAt.IsZero() {
		r.ForgivenAge = durationpb.New(time.Since(s.LateAt))
	}
	r.PollCoverage = s.Coverage
	r.OpenTargets, _ = c.watcher.OpenAddresses(maxNamed)
	r.Breakers = map[string]uint32{}
	for state, n := range s.Breakers {
		r.Breakers[state] = uint32(n)
	}
	c.describeJudgement(r)
	entries, _ := c.registry.Feed().Snapshot()
	for _, e := range entries {
		switch {
		case e.Spec != nil:
			r.Instances++
		case e.ID.Instance == "" && e.ID.Service != "" && e.ID.Service != health.MeshName:
			r.Services++
		}
	}
}

// describeJudgement fills in what bears on how others are judged.
func (c *Coordinator) describeJudgement(r *pb.GetCoordinatorResponse) {
	g := c.registry.Glance()
	r.Score, r.Overrides, r.StoreError = uint32(g.Score), uint32(g.Overrides), g.StoreError
	for _, t := range g.Guards {
		r.Guards = append(r.Guards, &pb.Guard{
			Zone: t.Zone, Since: timestamppb.New(t.Since), Known: uint32(t.Known), Doubted: uint32(t.Doubted), Faded: t.Faded,
		})
	}
	r.UnknownServices = c.unknownServices()
}

// maxNamed bounds how many names one list of an answer has.
const maxNamed = 20

// unknownServices names those the configuration says something about, or that
// one it names depends on, of which no instance is registered.
func (c *Coordinator) unknownServices() []string {
	named := map[string]bool{}
	for name, p := range *c.services.Load() {
		for _, n := range slices.Concat([]string{name}, p.DependsOn, p.SoftDependsOn) {
			if _, known := c.registry.Feed().Get(health.ID{Service: n}); !known {
				named[n] = true
			}
		}
	}
	all := slices.Sorted(maps.Keys(named))
	return all[:min(len(all), maxNamed)]
}
