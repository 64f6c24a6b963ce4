package demo

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/meshhealth/meshhealth/client"
)

// Run runs the demo until cfg.For has passed, ctx ends, or a part of the demo fails. Only a
// failure is an error. Run returns when all goroutines and processes have ended.
func Run(ctx context.Context, cfg Config) error {
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "meshhealth-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // if RemoveAll fails, the system removes the temporary folder later
	c, err := cfg.Start(ctx, dir, policy(cfg.Storm))
	if err != nil {
		return err
	}
	return (&demo{cfg: cfg, coordinator: c, began: time.Now()}).run(ctx)
}

// run runs the coordinator and the mesh, and waits until both have ended. The coordinator ends
// after the instances, so that the instances can deregister.
func (d *demo) run(ctx context.Context) error {
	coordinatorCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	ended := make(chan error, 1)
	go func() {
		err := d.coordinator.Run(coordinatorCtx)
		if err == nil {
			err = errFinished
		}
		end(err)
		ended <- err
	}()
	err := d.runMesh(ctx)
	stop()
	if failed := <-ended; !errors.Is(failed, errFinished) {
		err = errors.Join(err, failed)
	}
	if err == nil {
		d.viewer.summarize(d.say, time.Since(d.began), d.cfg.Instances)
	}
	return err
}

// errFinished is the cause of the cancelled context of the mesh, if the context was cancelled
// because the coordinator has ended without an error.
var errFinished = errors.New("the demo has ended")

// runMesh starts the backends and runs the mesh until ctx ends or cfg.For has passed. It then
// stops everything that it has started.
func (d *demo) runMesh(ctx context.Context) error {
	defer d.closeMesh()
	if err := d.buildMesh(); err != nil {
		return err
	}
	d.printIntroduction()
	watcher, err := client.New(client.Config{Coordinator: d.coordinator.Addr().String(), Insecure: true})
	if err != nil {
		return err
	}
	defer watcher.Close() //nolint:errcheck // a failed Close loses nothing, because this client only reads
	if d.cfg.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.cfg.For)
		defer cancel()
	}
	d.viewer = newViewer(d)
	return d.runParts(ctx, watcher)
}

// runParts runs the instances, the watcher and the steps until ctx ends or one of them
// fails. The instances stop after the watcher, so that their deregistration is not
// printed.
func (d *demo) runParts(ctx context.Context, watcher *client.Client) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	instanceCtx, stopInstances := context.WithCancel(context.WithoutCancel(ctx))
	defer stopInstances()
	var parts, instances sync.WaitGroup
	start := func(wg *sync.WaitGroup, ctx context.Context, part func(context.Context) error) {
		wg.Go(func() {
			if err := part(ctx); err != nil && ctx.Err() == nil {
				fail(err)
			}
		})
	}
	for _, i := range d.instances {
		start(&instances, instanceCtx, i.run)
	}
	if d.crowd != nil {
		start(&instances, instanceCtx, func(ctx context.Context) error { return d.crowd.run(ctx, d.announceStorm) })
	}
	start(&parts, ctx, func(ctx context.Context) error { return d.viewer.watch(ctx, watcher) })
	start(&parts, ctx, d.viewer.printCalmly)
	start(&parts, ctx, d.playStory)
	parts.Wait()
	d.network.join() // so that the instances behind it can deregister
	stopInstances()
	instances.Wait()
	return dropExpected(context.Cause(ctx))
}

// dropExpected returns nil if err is only a sign of the normal end of a demo, and err
// otherwise.
func dropExpected(err error) error {
	for _, end := range []error{context.Canceled, context.DeadlineExceeded, errFinished} {
		if errors.Is(err, end) {
			return nil
		}
	}
	return err
}
