package main

import (
	"context"
	"time"

	"google.golang.org/grpc"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server"
)

// perConn is the number of Watches that share a connection. Our servers allow 128 streams on a
// connection.
const perConn = 100

// benchWatchers measures the time from a change of the status until the last of 1,000 stock clients
// has received it. The clients watch a stock server, our server, or a coordinator that follows our
// server.
func benchWatchers(ctx context.Context, o *options, r *report) error {
	rig := newRig(ctx)
	defer rig.close()
	n := o.size(1000, 10)
	at, err := rig.coordinator()
	if err != nil {
		return err
	}
	srv, err := rig.service(at, "payments", "a")
	if err != nil {
		return err
	}
	own, ownAt, err := rig.embedded()
	if err != nil {
		return err
	}
	peer, peerAt, err := rig.peer()
	if err != nil {
		return err
	}
	peer.SetServingStatus("payments", 1)
	flips := []func(i int) error{
		func(i int) error { to, _, _ := side(i); return srv.SetStatus(to, "") },
		func(i int) error { to, _, _ := side(i); return own.SetStatus(to, "") },
		func(i int) error { _, to, _ := side(i); peer.SetServingStatus("payments", to); return nil },
	}
	var all []chan seen
	for _, address := range []string{at, ownAt, peerAt} {
		crowd, err := rig.crowd(address, "payments", n)
		if err != nil {
			return err
		}
		all = append(all, crowd)
	}
	var far, near []float64
	var took []times
	for range o.rounds {
		took = make([]times, len(flips))
		for i := range o.size(30, 4) {
			_, _, want := side(i)
			for k, flip := range flips {
				began := time.Now()
				if err := flip(i); err != nil {
					return err
				}
				last, err := rig.waitForLast(all[k], want, n)
				if err != nil {
					return err
				}
				took[k] = append(took[k], last.Sub(began))
			}
		}
		far = append(far, over(took[0].quantile(.5), took[2].quantile(.5)))
		near = append(near, over(took[1].quantile(.5), took[2].quantile(.5)))
	}
	r.ratio("last of 1,000 watchers at the coordinator / at the stock server", far, 1.1)
	r.ratio("last of 1,000 watchers at our own server / at the stock server", near, 1.1)
	r.figure("… coordinator, our server, stock server, p50", inMicros(.5, took...), "", true)
	return nil
}

// embedded runs a server of this library that is SERVING, without registering it. It returns
// the server and its address.
func (r *rig) embedded() (*server.Server, string, error) {
	s, err := server.New(server.Config{Service: "payments"})
	if err != nil {
		return nil, "", err
	}
	at, err := r.serve(func(g *grpc.Server) { s.Register(g) })
	if err != nil {
		return nil, "", err
	}
	return s, at, s.SetStatus(health.Serving, "")
}

// crowd starts n Watches of grpc.health.v1 for one name, and returns when all have received
// SERVING. Each status that one of them receives later goes to the returned channel.
func (r *rig) crowd(at, service string, n int) (chan seen, error) {
	to := make(chan seen, n)
	var conn *grpc.ClientConn
	for i := range n {
		if i%perConn == 0 {
			var err error
			if conn, err = r.dial(at); err != nil {
				return nil, err
			}
		}
		if err := r.watchStock(conn, service, to); err != nil {
			return nil, err
		}
	}
	_, err := r.waitForLast(to, 1, n)
	return to, err
}

// waitForLast waits until n Watches have received the status want. It returns the time at which
// the last of them received it.
func (r *rig) waitForLast(from <-chan seen, want status, n int) (last time.Time, err error) {
	for range n {
		at, err := r.waitForStatus(from, want)
		if err != nil {
			return last, err
		}
		if at.After(last) {
			last = at
		}
	}
	return last, nil
}
