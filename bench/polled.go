package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	stock "google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/meshhealth/meshhealth/coordinator"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
)

// polledFor is the time for which the benchmark counts polls. The metric meshhealth_poll_coverage is
// about the last 30 s. So at the end this metric is about the second half of polledFor.
const polledFor = 60 * time.Second

// benchPolled lets a coordinator poll many targets every second, each over its own connection.
// The coordinator reports the coverage: the number of polls made, divided by the number of polls
// due. benchPolled compares the coverage with the number of polls that the targets count.
func benchPolled(ctx context.Context, o *options, r *report) error {
	for _, c := range []struct {
		n    int
		goal float64
	}{{o.size(1000, 20), 0.99}, {o.size(5000, 50), 0.99}, {o.size(10_000, 100), 0}} {
		p, err := polledBy(ctx, o, c.n)
		if err != nil {
			return err
		}
		goal := ""
		if c.goal > 0 {
			goal = fmt.Sprintf("≥ %v", c.goal)
		}
		what := fmt.Sprintf("%d targets polled every second, ", c.n)
		r.figure(what+"coverage as the coordinator prints it", fmt.Sprintf("%.4f", p.says), goal, p.says >= c.goal)
		r.figure("… as the targets count it", fmt.Sprintf("%.4f, %.0f a second", p.counted, p.counted*float64(c.n)), "within 0.01", math.Abs(p.says-min(1, p.counted)) <= 0.01)
		r.figure("… statuses that changed, or were not confirmed", fmt.Sprintf("%.0f, %.0f", p.changed, p.unconfirmed), "0, 0", p.changed == 0 && p.unconfirmed == 0)
		r.figure("… the coordinator's CPU", fmt.Sprintf("%.2f cores, %.1f µs a poll, the targets' %.1f µs", p.cpu, p.each, p.theirs), "", true)
	}
	return nil
}

// polledFigures are the results of one run of benchPolled.
type polledFigures struct {
	says        float64 // coverage that the coordinator reports: polls made, divided by polls due
	counted     float64 // coverage that results from the polls that the targets have counted
	changed     float64 // number of statuses that changed
	unconfirmed float64 // number of statuses that were unconfirmed at the end
	cpu         float64 // average number of cores that the coordinator used
	each        float64 // CPU time of the coordinator for one poll, in microseconds
	theirs      float64 // CPU time of the targets for one poll, in microseconds
}

// polledBy starts a coordinator that polls n targets, and returns the figures that it measured.
func polledBy(ctx context.Context, o *options, n int) (f polledFigures, err error) {
	rig := newRig(ctx)
	defer rig.close()
	p, err := rig.process("polling coordinator")
	if err != nil {
		return f, err
	}
	at := strings.Fields(p.at) // the addresses of the coordinator for gRPC and for HTTP
	t, err := rig.process("polled")
	if err != nil {
		return f, err
	}
	if err := rig.registerTargets(at[0], t.at, n); err != nil {
		return f, err
	}
	if err := rig.untilPolled(at[1], n); err != nil {
		return f, err
	}
	long := time.Duration(o.size(int(polledFor), int(10*time.Second)))
	if err := rig.pause(long / 2); err != nil { // after this pause, the coverage includes no poll from before the pause
		return f, err
	}
	return rig.countPolls(p, t, at[1], n, long)
}

// targetName is the name of every target in health requests.
const targetName = "target"

// targetAddress returns the address of target i. One server stands for all targets: it listens on
// port at every loopback address, and each target has another loopback address.
func targetAddress(i int, port string) string {
	return net.JoinHostPort(fmt.Sprintf("127.1.%d.%d", i/250, 1+i%250), port)
}

// registerTargets registers n targets at a coordinator. One server stands for all targets. Each
// target has another loopback address, and so its own connection.
func (r *rig) registerTargets(coordinatorAddr, serverAddr string, n int) error {
	conn, err := r.dial(coordinatorAddr)
	if err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(serverAddr)
	if err != nil {
		return err
	}
	registry, req := pb.NewRegistryServiceClient(conn), &pb.RegisterRequest{}
	for i := range n {
		req.Registrations = append(req.Registrations, &pb.Registration{
			Service: name("service", i%50), Instance: name("i", i), Static: true, HealthName: targetName,
			Address: targetAddress(i, port),
		})
		if len(req.Registrations) == 500 || i == n-1 {
			if _, err := registry.Register(r.ctx, req); err != nil {
				return err
			}
			req.Registrations = nil
		}
	}
	return nil
}

// untilPolled waits until the coordinator counts n instances as SERVING.
func (r *rig) untilPolled(at string, n int) error {
	for range 300 {
		m, err := scrape(at)
		if err != nil {
			return err
		}
		if m[`meshhealth_mesh_instances{state="SERVING"}`] == float64(n) {
			return nil
		}
		if err := r.pause(time.Second); err != nil {
			return err
		}
	}
	return errors.New("not all targets were polled within 5 min")
}

func (r *rig) pause(d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-r.ctx.Done():
		return r.ctx.Err()
	}
}

// reading has the values of all counters at one time.
type reading struct {
	at      time.Time
	polls   float64            // number of polls that the targets have answered so far
	cpu     [2]time.Duration   // CPU time so far of the coordinator and of the targets
	metrics map[string]float64 // values of the coordinator's metrics, by name and labels
}

func (r *rig) read(p, t *process, at string) (v reading, err error) {
	if v.metrics, err = scrape(at); err != nil {
		return v, err
	}
	counted, err := r.answeredPolls(t.at)
	if err != nil {
		return v, err
	}
	v.at, v.polls = time.Now(), counted
	for i, of := range []*process{p, t} {
		if v.cpu[i], err = of.cpu(); err != nil {
			return v, err
		}
	}
	return v, nil
}

// countPolls reads the counters at the begin, in the middle and at the end of the time
// `duration`. The coverage is computed for the second half, and all other figures for the whole
// duration.
func (r *rig) countPolls(p, t *process, at string, n int, duration time.Duration) (f polledFigures, err error) {
	var v [3]reading
	for i := range v {
		if i > 0 {
			if err := r.pause(duration / 2); err != nil {
				return f, err
			}
		}
		if v[i], err = r.read(p, t, at); err != nil {
			return f, err
		}
	}
	seconds := v[2].at.Sub(v[0].at).Seconds()
	polls := v[2].polls - v[0].polls
	f.says = v[2].metrics["meshhealth_poll_coverage"]
	f.counted = (v[2].polls - v[1].polls) / v[2].at.Sub(v[1].at).Seconds() / float64(n)
	f.unconfirmed = v[2].metrics["meshhealth_unconfirmed_instances"]
	for name, value := range v[2].metrics {
		if strings.HasPrefix(name, "meshhealth_transitions_total") {
			f.changed += value - v[0].metrics[name]
		}
	}
	f.cpu = (v[2].cpu[0] - v[0].cpu[0]).Seconds() / seconds
	f.each = float64((v[2].cpu[0] - v[0].cpu[0]).Microseconds()) / polls
	f.theirs = float64((v[2].cpu[1] - v[0].cpu[1]).Microseconds()) / polls
	return f, nil
}

// scrape returns the values of all metrics by name and labels.
func scrape(at string) (map[string]float64, error) {
	resp, err := http.Get("http://" + at + "/metrics")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	m := map[string]float64{}
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			m[name] = v
		}
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	return m, nil
}

// answeredPolls returns how many polls the targets have answered. It reads this number with a
// Check that the targets do not count as a poll.
func (r *rig) answeredPolls(at string) (float64, error) {
	conn, err := r.dial(at)
	if err != nil {
		return 0, err
	}
	header := new(countHeader)
	_, err = healthpb.NewHealthClient(conn).Check(r.ctx, &healthpb.HealthCheckRequest{Service: "count"}, grpc.Header(&header.md))
	if err != nil {
		return 0, err
	}
	return header.count()
}

// checkOnly is a health server that implements only the method Check, and counts its calls.
type checkOnly struct {
	healthpb.UnimplementedHealthServer
	asked atomic.Int64
}

// Check implements healthpb.HealthServer.
func (c *checkOnly) Check(ctx context.Context, req *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	if req.GetService() == "count" {
		return &healthpb.HealthCheckResponse{}, sendCount(ctx, c.asked.Load())
	}
	c.asked.Add(1)
	return &healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_SERVING}, nil
}

// servePolled runs one server that stands for all polled targets. It accepts connections to every
// loopback address.
func servePolled(ctx context.Context) error {
	return serveEverywhere(ctx, &checkOnly{})
}

// serveStockEverywhere runs a stock health server on every loopback address.
func serveStockEverywhere(ctx context.Context) error {
	s := stock.NewServer()
	s.SetServingStatus(targetName, healthpb.HealthCheckResponse_SERVING)
	return serveEverywhere(ctx, s)
}

// serveEverywhere serves h on every loopback address.
func serveEverywhere(ctx context.Context, h healthpb.HealthServer) error {
	l, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		return err
	}
	g := grpc.NewServer()
	healthpb.RegisterHealthServer(g, h)
	stop := context.AfterFunc(ctx, g.Stop)
	defer stop()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	fmt.Println(net.JoinHostPort("127.0.0.1", port))
	return g.Serve(l)
}

// servePolling runs a coordinator that polls its targets every second.
func servePolling(ctx context.Context) error {
	c, err := coordinator.New(ctx, coordinator.Config{
		Listen: "127.0.0.1:0", HTTP: "127.0.0.1:0", PollEvery: time.Second, MetricInstances: -1,
	})
	if err != nil {
		return err
	}
	fmt.Println(c.Addr(), c.HTTPAddr())
	return c.Run(ctx)
}
