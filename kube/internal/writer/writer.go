package writer

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/kube/internal/cluster"
	"github.com/meshhealth/meshhealth/kube/internal/plan"
)

// Cluster is the API server, as *cluster.Cluster implements it.
type Cluster interface {
	Follow(ctx context.Context, kind plan.Kind, do func(cluster.Event))
	Write(ctx context.Context, w plan.Write) (plan.Result, error)
	Imported(ctx context.Context, pod *plan.Reference) (bool, error)
}

// Config has the settings of a Writer. All fields but WorkloadEntries are required.
type Config struct {
	Mesh    *client.Client
	Cluster Cluster
	Log     *slog.Logger
	Metrics *Metrics
	// Source is the source of the registrations of imported Pods.
	Source string
	// WorkloadEntries means that WorkloadEntries are followed beside Pods.
	WorkloadEntries bool
	// NewPodsWhenBlind is the condition of new Pods while the coordinator is away: True or False.
	NewPodsWhenBlind string
}

// heartbeat is the longest silence of a coordinator that is well. After three of them the Watch counts
// as interrupted.
const heartbeat = 5 * time.Second

// statsEvery is how often the metrics are set.
const statsEvery = time.Second

// run is one run of a writer. All fields without a comment are constant.
type run struct {
	cfg     Config
	planner *plan.Planner // only the loop uses it
	events  chan cluster.Event
	updates chan client.Update
	written chan written
	acted   chan []plan.ActionResult
	tasks   sync.WaitGroup
	words   words     // only the loop uses it
	counted time.Time // when the metrics were last set; only the loop uses it
}

// written is the result of a write.
type written struct {
	plan.Result
	err  error
	took time.Duration
}

// Run follows and writes until ctx ends. It begins without any knowledge, and reads everything.
func Run(ctx context.Context, cfg Config) {
	r := &run{
		cfg: cfg, planner: plan.NewPlanner(time.Now(), cfg.NewPodsWhenBlind, cfg.Source),
		events: make(chan cluster.Event), updates: make(chan client.Update),
		written: make(chan written, plan.MaxInFlight), acted: make(chan []plan.ActionResult, 1),
		words: words{log: cfg.Log, faults: map[plan.Key]string{}},
	}
	ctx, cancel := context.WithCancel(ctx)
	defer r.tasks.Wait()
	defer cancel()
	r.tasks.Go(func() { r.follow(ctx, plan.Pod) })
	if cfg.WorkloadEntries {
		r.tasks.Go(func() { r.follow(ctx, plan.WorkloadEntry) })
	}
	r.tasks.Go(func() { r.watch(ctx) })
	r.cfg.Metrics.leads(true)
	defer r.cfg.Metrics.leads(false)
	r.loop(ctx)
}

// follow passes the events of a kind of objects to the loop.
func (r *run) follow(ctx context.Context, kind plan.Kind) {
	r.cfg.Cluster.Follow(ctx, kind, func(e cluster.Event) {
		select {
		case r.events <- e:
		case <-ctx.Done():
		}
	})
}

// retryWatch is the pause after the coordinator has refused the Watch.
const retryWatch = 10 * time.Second

// watch passes the messages of the coordinator to the loop.
func (r *run) watch(ctx context.Context) {
	for ctx.Err() == nil {
		for u, err := range r.cfg.Mesh.Watch(ctx, client.WatchOptions{Heartbeat: heartbeat}) {
			if err != nil {
				u = client.Update{Stale: true, Err: err}
			}
			select {
			case r.updates <- u:
			case <-ctx.Done():
				return
			}
		}
		timer := time.NewTimer(retryWatch)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// loop owns the planner.
func (r *run) loop(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case e := <-r.events:
			r.event(e)
		case u := <-r.updates:
			r.update(u)
		case w := <-r.written:
			r.words.written(&w)
			r.cfg.Metrics.written(&w)
			r.planner.Done(w.Result, time.Now())
		case results := <-r.acted:
			r.words.acted(results)
			r.cfg.Metrics.acted(results)
			r.planner.ActionsDone(results, time.Now())
		}
		timer.Reset(time.Until(r.begin(ctx, time.Now())))
	}
}

// begin starts what is due, and returns when to call it again.
func (r *run) begin(ctx context.Context, now time.Time) time.Time {
	writes, wake := r.planner.Next(now)
	for _, w := range writes {
		r.tasks.Go(func() {
			began := time.Now()
			result, err := r.cfg.Cluster.Write(ctx, w)
			r.written <- written{result, err, time.Since(began)} // there is room for all writes
		})
	}
	actions, again := r.planner.NextActions(now)
	if len(actions) > 0 {
		r.tasks.Go(func() { r.acted <- r.act(ctx, actions) })
	}
	if !again.IsZero() && (wake.IsZero() || again.Before(wake)) {
		wake = again
	}
	r.words.blind(r.planner.Blind(), r.cfg.NewPodsWhenBlind)
	if now.Sub(r.counted) >= statsEvery {
		r.counted = now
		r.cfg.Metrics.turned.Store(now.UnixNano())
		r.cfg.Metrics.stats(r.planner.Stats(), r.planner.Blind())
	}
	if next := r.counted.Add(statsEvery); wake.IsZero() || next.Before(wake) {
		wake = next
	}
	return wake
}

// event takes note of a change of objects.
func (r *run) event(e cluster.Event) {
	r.words.event(&e)
	switch {
	case e.Changed != nil:
		r.words.fault(e.Changed)
		r.planner.Observe(e.Changed)
	case e.Deleted != nil:
		r.words.forget(e.Deleted.Key)
		r.planner.Forget(e.Deleted.Key, e.Deleted.Version)
	case e.Listed:
		for _, o := range e.List {
			r.words.fault(o)
		}
		r.planner.Replace(e.Kind, e.List, e.Version)
	}
}

// update takes note of a message of the coordinator.
func (r *run) update(u client.Update) {
	r.words.update(&u)
	if !u.Stale {
		r.planner.Heard(u.Received)
	}
	p := plan.Update{Epoch: u.Epoch, Snapshot: u.Snapshot, SnapshotEnd: u.SnapshotEnd, Gap: u.Gap, Stale: u.Stale}
	for _, e := range u.Entries {
		if e.Removed || e.Unregistered {
			p.Removed = append(p.Removed, e.ID)
		} else if i := plan.InstanceOf(&e.State); i != nil {
			p.Instances = append(p.Instances, i)
			r.words.rights(i)
		}
	}
	r.planner.Mesh(p)
}
