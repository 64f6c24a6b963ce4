package main

import (
	"context"
	"fmt"
	"math"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/proto"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
)

// victim is a server in a child process that benchAttacker attacks.
type victim struct {
	r       *rig
	process *process
	conn    *grpc.ClientConn
}

func (r *rig) victim(kind string) (*victim, error) {
	p, err := r.process(kind)
	if err != nil {
		return nil, err
	}
	v := &victim{r: r, process: p}
	v.conn, err = v.connect()
	return v, err
}

func (v *victim) connect() (*grpc.ClientConn, error) {
	conn, err := grpc.NewClient(v.process.at, grpc.WithTransportCredentials(credentials.NewTLS(unverified())))
	if err != nil {
		return nil, err
	}
	v.r.undo = append(v.r.undo, func() { _ = conn.Close() })
	_, err = healthpb.NewHealthClient(conn).Check(v.r.ctx, &healthpb.HealthCheckRequest{Service: "service-1"})
	return conn, err
}

// weigh returns the resident memory, in bytes, of the process of the attacked server. It makes
// four measurements, which take 3 s, and returns the smallest one.
func (v *victim) weigh() (int, error) {
	least := math.MaxInt
	for range 4 { // during the first measurements, a garbage collection may still be running
		if err := v.process.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
			return 0, err
		}
		select {
		case <-time.After(700 * time.Millisecond):
		case <-v.r.ctx.Done():
			return 0, v.r.ctx.Err()
		}
		n, err := v.process.rss()
		if err != nil {
			return 0, err
		}
		least = min(least, n)
	}
	return least, nil
}

// growth calls open n times. It returns the average number of bytes by which the memory of the
// attacked server grew for one call.
func (v *victim) growth(n int, open func() error) (float64, error) {
	before, err := v.weigh()
	if err != nil {
		return 0, err
	}
	for range n {
		if err := open(); err != nil {
			return 0, err
		}
	}
	after, err := v.weigh()
	return float64(after-before) / float64(n), err
}

// cost is the CPU time that a server needs for one call, and the size of its answer in bytes.
type cost struct {
	cpu   time.Duration
	bytes int
}

func (c cost) perKiB() float64 { return float64(c.cpu.Nanoseconds()) / (float64(c.bytes) / 1024) }

// calls makes n calls to the attacked server, one after the other, and returns the average cost of one
// call. First it makes n/10+1 calls that are not measured.
func (v *victim) calls(n int, call func(ctx context.Context) (proto.Message, error)) (c cost, err error) {
	var before time.Duration
	for i := -n/10 - 1; i < n; i++ {
		if i == 0 { // the first measured call
			if before, err = v.process.cpu(); err != nil {
				return c, err
			}
			c.bytes = 0
		}
		m, err := call(v.r.ctx)
		if err != nil {
			return c, err
		}
		c.bytes += proto.Size(m)
	}
	after, err := v.process.cpu()
	return cost{cpu: (after - before) / time.Duration(n), bytes: c.bytes / n}, err
}

// benchAttacker measures how much CPU time and memory a client without a certificate can use in
// two servers: a coordinator, and the health server of grpc-go.
func benchAttacker(ctx context.Context, o *options, r *report) error {
	rig := newRig(ctx)
	defer rig.close()
	ours, err := rig.victim("attacked")
	if err != nil {
		return err
	}
	theirs, err := rig.victim("stock with 128 streams")
	if err != nil {
		return err
	}
	for _, bench := range []func(*options, *report, *victim, *victim) error{attackByCalls, attackByBytes, attackByMemory} {
		if err := bench(o, r, ours, theirs); err != nil {
			return err
		}
	}
	return nil
}

// attackByCalls compares the CPU time that the two servers need for calls of methods that both
// implement.
func attackByCalls(o *options, r *report, ours, theirs *victim) error {
	check := func(service string) func(*victim) func(context.Context) (proto.Message, error) {
		return func(v *victim) func(context.Context) (proto.Message, error) {
			return func(ctx context.Context) (proto.Message, error) {
				m, err := healthpb.NewHealthClient(v.conn).Check(ctx, &healthpb.HealthCheckRequest{Service: service})
				if service == "nobody" && err != nil && strings.Contains(err.Error(), "nknown service") || err != nil && strings.Contains(err.Error(), "not found") {
					return &healthpb.HealthCheckResponse{}, nil
				}
				return m, err
			}
		}
	}
	for _, c := range []struct {
		what string
		n    int
		call func(*victim) func(context.Context) (proto.Message, error)
	}{
		{"Check", 2000, check("service-1")},
		{"Check of a name that is not known", 2000, check("nobody")},
		{"List of grpc.health.v1", 500, func(v *victim) func(context.Context) (proto.Message, error) {
			return func(ctx context.Context) (proto.Message, error) {
				return healthpb.NewHealthClient(v.conn).List(ctx, &healthpb.HealthListRequest{})
			}
		}},
		{"Watch, its first message, its end", 1000, func(v *victim) func(context.Context) (proto.Message, error) {
			return func(ctx context.Context) (proto.Message, error) {
				ctx, stop := context.WithCancel(ctx)
				defer stop()
				s, err := healthpb.NewHealthClient(v.conn).Watch(ctx, &healthpb.HealthCheckRequest{Service: "service-1"})
				if err != nil {
					return nil, err
				}
				return s.Recv()
			}
		}},
		{"a connection with TLS, one Check on it, its end", 100, func(v *victim) func(context.Context) (proto.Message, error) {
			return func(context.Context) (proto.Message, error) {
				conn, err := v.connect()
				if err == nil {
					err = conn.Close()
				}
				return &healthpb.HealthCheckResponse{}, err
			}
		}},
	} {
		var ratios []float64
		var mine, peer cost
		for range o.rounds {
			var err error
			if mine, err = ours.calls(o.size(c.n, 10), c.call(ours)); err != nil {
				return fmt.Errorf("%s: %w", c.what, err)
			}
			if peer, err = theirs.calls(o.size(c.n, 10), c.call(theirs)); err != nil {
				return fmt.Errorf("%s, stock: %w", c.what, err)
			}
			ratios = append(ratios, over(mine.cpu, peer.cpu))
		}
		r.ratio("attacker: CPU of "+c.what+" / stock server", ratios, 2)
		r.figure("… the last round", fmt.Sprintf("%d µs, %d µs", mine.cpu.Microseconds(), peer.cpu.Microseconds()), "", true)
	}
	return nil
}

// attackByBytes measures calls of methods that only the coordinator implements. For such a call and
// for List of the stock server, it compares the CPU time for each KiB of the answer.
func attackByBytes(o *options, r *report, ours, theirs *victim) error {
	list, err := theirs.calls(o.size(500, 10), func(ctx context.Context) (proto.Message, error) {
		return healthpb.NewHealthClient(theirs.conn).List(ctx, &healthpb.HealthListRequest{})
	})
	if err != nil {
		return err
	}
	r.figure("attacker: stock List, CPU for each KiB it returns", fmt.Sprintf("%.1f µs (%d µs, %.1f KiB)", list.perKiB()/1000, list.cpu.Microseconds(), float64(list.bytes)/1024), "", true)
	mesh := pb.NewHealthServiceClient(ours.conn)
	page := func(req *pb.ListRequest) func(context.Context) (proto.Message, error) {
		return func(ctx context.Context) (proto.Message, error) { return mesh.List(ctx, req) }
	}
	first, err := mesh.List(ours.r.ctx, &pb.ListRequest{PageSize: 1000})
	if err != nil {
		return err
	}
	var names []string
	for i := range 128 {
		names = append(names, "large/"+name("instance", i*70))
	}
	snapshot := func(req *pb.WatchRequest) func(context.Context) (proto.Message, error) {
		return func(ctx context.Context) (proto.Message, error) {
			ctx, stop := context.WithCancel(ctx)
			defer stop()
			s, err := mesh.Watch(ctx, req)
			if err != nil {
				return nil, err
			}
			all := &pb.WatchResponse{}
			for {
				m, err := s.Recv()
				if err != nil {
					return nil, err
				}
				all.Entries = append(all.Entries, m.GetEntries()...)
				if m.GetSnapshotEnd() {
					return all, nil
				}
			}
		}
	}
	for _, c := range []struct {
		what string
		n    int
		call func(context.Context) (proto.Message, error)
	}{
		{"List{page_size: 1} of 50,000", 500, page(&pb.ListRequest{PageSize: 1})},
		{"… in the middle", 500, page(&pb.ListRequest{PageSize: 1, PageToken: first.GetNextPageToken()})},
		{"List{page_size: 1000}", 50, page(&pb.ListRequest{PageSize: 1000})},
		{"List by a label that nobody has", 20, page(&pb.ListRequest{Selector: &pb.Selector{Labels: map[string]string{"team": "none"}}})},
		{"List by a status that nobody has", 20, page(&pb.ListRequest{Selector: &pb.Selector{Statuses: []pb.Status{pb.Status_STATUS_MAINTENANCE}}})},
		{"Watch of 128 names in a service of 10,000", 100, snapshot(&pb.WatchRequest{Names: names})},
		{"Watch of everything, its snapshot", 5, snapshot(&pb.WatchRequest{})},
	} {
		got, err := ours.calls(o.size(c.n, 2), c.call)
		if err != nil {
			return fmt.Errorf("%s: %w", c.what, err)
		}
		figure := fmt.Sprintf("%.2f ms, %.1f KiB", float64(got.cpu.Microseconds())/1000, float64(got.bytes)/1024)
		if got.bytes > 100 {
			r.figure("attacker: CPU of "+c.what, fmt.Sprintf("%s: %.2f of the stock List for each KiB", figure, got.perKiB()/list.perKiB()), "", true)
			continue
		}
		r.figure("attacker: CPU of "+c.what, figure, "", true)
	}
	return nil
}

// attackByMemory compares the memory that the two servers need for a connection and for a
// stream.
func attackByMemory(o *options, r *report, ours, theirs *victim) error {
	compare := func(what string, n int, open func(*victim) func() error) error {
		mine, err := ours.growth(n, open(ours))
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		peer, err := theirs.growth(n, open(theirs))
		if err != nil {
			return fmt.Errorf("%s, stock: %w", what, err)
		}
		r.figure(fmt.Sprintf("attacker: memory of %s, of %d", what, n), fmt.Sprintf("%.1f KiB, stock %.1f KiB: %.2f", mine/1024, peer/1024, mine/peer), "≤ 2", mine <= 2*peer)
		return nil
	}
	err := compare("a connection", o.size(500, 10), func(v *victim) func() error {
		return func() error { _, err := v.connect(); return err }
	})
	if err != nil {
		return err
	}
	// streams returns a function that opens one stream with each call. 128 streams share a
	// connection. The client never lets the server send a message on a stream.
	streams := func(method string, req proto.Message, cut int, answered bool) func(*victim) func() error {
		return func(v *victim) func() error {
			var p *rawPeer
			opened := 0
			return func() (err error) {
				if opened%128 == 0 {
					if p, err = v.r.rawPeer(v.process.at); err != nil {
						return err
					}
				}
				opened++
				if err := p.call(method, req, cut); err != nil || !answered {
					return err
				}
				select {
				case <-p.answered:
					return nil
				case <-v.r.ctx.Done():
					return v.r.ctx.Err()
				}
			}
		}
	}
	known, large := &healthpb.HealthCheckRequest{Service: "service-1"}, &healthpb.HealthCheckRequest{Service: strings.Repeat("x", 110<<10)}
	n := o.size(5000, 128)
	for _, c := range []struct {
		what     string
		method   string
		req      proto.Message
		cut      int // number of bytes of the request that are sent; 0 means the whole request
		answered bool
		n        int
	}{
		{"a standard Watch", healthpb.Health_Watch_FullMethodName, known, 0, true, n},
		{"a request of which 100 KiB have come", healthpb.Health_Check_FullMethodName, large, 100 << 10, false, o.size(512, 128)},
	} {
		if err := compare(c.what, c.n, streams(c.method, c.req, c.cut, c.answered)); err != nil {
			return err
		}
	}
	idle, err := ours.growth(n, streams(pb.HealthService_Watch_FullMethodName, &pb.WatchRequest{Names: []string{"nobody"}}, 0, true)(ours))
	if err != nil {
		return err
	}
	stuck, err := ours.growth(n, streams(pb.HealthService_Watch_FullMethodName, &pb.WatchRequest{}, 0, true)(ours))
	if err != nil {
		return err
	}
	r.figure(fmt.Sprintf("attacker: memory of a Watch of everything that is never read, beyond an idle one, of %d", n), fmt.Sprintf("%.1f KiB (%.1f, %.1f)", (stuck-idle)/1024, stuck/1024, idle/1024), "≤ 128 KiB", stuck-idle <= 128<<10)
	return nil
}
