package coordinator

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

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
	s.Guards, s.Score = c.registry.Guards(), c.registry.Score()
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
	entries, _ := c.registry.Feed().Snapshot()
	for _, e := range entries {
		switch {
		case e.Spec != nil:
			r.Instances++
		case e.ID.Service != "" && e.ID.Service != health.MeshName:
			r.Services++
		}
	}
}
