package cluster

import (
	"context"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/meshhealth/meshhealth/kube/internal/plan"
)

// Event is a change of the objects of one kind: exactly one of Changed, Deleted, Listed and Err is
// set.
type Event struct {
	Kind    plan.Kind
	Changed *plan.Object
	Deleted *plan.Object
	// Listed reports that List has all objects, and Version is the version of the list.
	Listed  bool
	List    []*plan.Object
	Version uint64
	// Err says why objects cannot be listed or watched at the moment.
	Err error
}

// watchBackoff is the pause between two attempts to list and watch. While the API server is away, a
// follower tries again at least every 2 s.
var watchBackoff = wait.Backoff{Duration: 200 * time.Millisecond, Factor: 2, Jitter: 0.5, Steps: 10, Cap: 2 * time.Second}

// Follow lists the objects of a kind that have the label plan.Follow, and passes each later change to
// do, until ctx ends. Each list after the first follows an interruption. do may block.
func (c *Cluster) Follow(ctx context.Context, kind plan.Kind, do func(Event)) {
	failed := func(err error) {
		if err != nil && ctx.Err() == nil {
			do(Event{Kind: kind, Err: err})
		}
	}
	objects := c.dynamic.Resource(resources[kind]).Namespace(c.cfg.Namespace)
	lists := listWatch{&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.LabelSelector = plan.Follow
			list, err := objects.List(ctx, o)
			failed(err)
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.LabelSelector = plan.Follow
			w, err := objects.Watch(ctx, o)
			failed(err)
			return w, err
		},
	}}
	backoff := watchBackoff
	r := cache.NewReflectorWithOptions(lists, &unstructured.Unstructured{}, &sink{c: c, kind: kind, do: do},
		cache.ReflectorOptions{Name: kind.String(), Backoff: &backoff})
	r.RunWithContext(ctx)
}

// listWatch does not ask for a list as a part of a watch. With an older etcd, such a watch fails after
// several seconds.
type listWatch struct{ *cache.ListWatch }

// IsWatchListSemanticsUnSupported is read by the reflector.
func (listWatch) IsWatchListSemanticsUnSupported() bool { return true }

// sink is the store of a reflector. It passes on what it is told, and keeps nothing.
type sink struct {
	c    *Cluster
	kind plan.Kind
	do   func(Event)
}

var _ cache.ReflectorStore = (*sink)(nil)

func (s *sink) object(o any) *plan.Object {
	return s.c.object(s.kind, o.(*unstructured.Unstructured))
}

// Add implements cache.ReflectorStore.
func (s *sink) Add(o any) error { return s.Update(o) }

// Update implements cache.ReflectorStore.
func (s *sink) Update(o any) error {
	s.do(Event{Kind: s.kind, Changed: s.object(o)})
	return nil
}

// Delete implements cache.ReflectorStore.
func (s *sink) Delete(o any) error {
	s.do(Event{Kind: s.kind, Deleted: s.object(o)})
	return nil
}

// Replace implements cache.ReflectorStore.
func (s *sink) Replace(list []any, version string) error {
	e := Event{Kind: s.kind, Listed: true}
	e.Version, _ = strconv.ParseUint(version, 10, 64)
	for _, o := range list {
		e.List = append(e.List, s.object(o))
	}
	s.do(e)
	return nil
}

// Resync implements cache.ReflectorStore.
func (s *sink) Resync() error { return nil }
