package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// Lease says which lease the leader holds.
type Lease struct {
	Namespace, Name string
	// Identity differs between the replicas.
	Identity string
	// Duration is how long the others wait after the last sign of the leader: at least 3 s.
	Duration time.Duration
}

// Lead waits until this replica holds the lease, and runs lead. The context of lead ends when the
// lease is lost or ctx ends. After that Lead begins again. It returns when ctx has ended. At
// the end it releases the lease, so that another replica follows at once.
func (c *Cluster) Lead(ctx context.Context, l Lease, log *slog.Logger, lead func(context.Context)) error {
	for ctx.Err() == nil {
		lock := &lock{LeaseLock: resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: l.Namespace, Name: l.Name},
			Client:     c.typed.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: l.Identity},
		}}
		ended := make(chan struct{})
		elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
			Lock: lock, LeaseDuration: l.Duration, RenewDeadline: l.Duration * 2 / 3, RetryPeriod: l.Duration / 8,
			ReleaseOnCancel: true, Name: l.Name,
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: func(ctx context.Context) {
					defer close(ended)
					log.Info("this replica leads and writes", "identity", l.Identity)
					lead(ctx)
				},
				OnStoppedLeading: func() {},
				OnNewLeader: func(identity string) {
					if identity != l.Identity {
						log.Info("another replica leads", "identity", identity)
					}
				},
			},
		})
		if err != nil {
			return fmt.Errorf("cluster: lease: %w", err)
		}
		elector.Run(ctx)
		if lock.held {
			<-ended
		}
		if ctx.Err() == nil {
			log.Warn("this replica has lost its lease and does not write; it tries to get the lease again", "identity", l.Identity)
		}
	}
	return nil
}

// lock notes whether it was held.
type lock struct {
	resourcelock.LeaseLock
	held bool
}

// RecordEvent implements resourcelock.Interface. The elector calls it only when it begins to lead, and
// when it ends to lead.
func (l *lock) RecordEvent(string) { l.held = true }
