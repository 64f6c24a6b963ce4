package api

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// watching is one open Watch and its messages.
type watching struct {
	t      *testing.T
	cancel context.CancelFunc

	mu   sync.Mutex
	came []*pb.WatchResponse
	err  error
}

// watch opens a Watch in a goroutine, because the stream may have to wait.
func (c *visitor) watch(req *pb.WatchRequest) *watching {
	ctx, cancel := context.WithCancel(c.t.Context())
	w := &watching{t: c.t, cancel: cancel}
	c.t.Cleanup(cancel)
	go func() {
		stream, err := c.mesh.Watch(ctx, req)
		for err == nil {
			var m *pb.WatchResponse
			m, err = stream.Recv()
			w.add(m, err)
		}
		w.add(nil, err)
	}()
	return w
}

func (w *watching) add(m *pb.WatchResponse, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err = err; err == nil {
		w.came = append(w.came, m)
	}
}

// received returns the messages since the last call, and the error with which the stream has
// ended; nil if it is open.
func (w *watching) received() ([]*pb.WatchResponse, error) {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	came := w.came
	w.came = nil
	return came, w.err
}

// end returns the error with which the stream has ended; nil if it is open.
func (w *watching) end() error {
	_, err := w.received()
	return err
}

// entries returns the entries since the last call.
func (w *watching) entries() []*pb.Health {
	w.t.Helper()
	came, err := w.received()
	if err != nil {
		w.t.Fatalf("the Watch has ended: %v", err)
	}
	var all []*pb.Health
	for _, m := range came {
		// The entries of one message have no order.
		slices.SortStableFunc(m.GetEntries(), func(a, b *pb.Health) int { return strings.Compare(line(a), line(b)) })
		all = append(all, m.GetEntries()...)
	}
	return all
}

// lines formats the entries of instances since the last call.
func (w *watching) lines() []string {
	w.t.Helper()
	var all []string
	for _, e := range w.entries() {
		if e.GetInstance() != "" {
			all = append(all, line(e))
		}
	}
	return all
}

// wants fails the test unless lines returns exactly these.
func (w *watching) wants(want ...string) {
	w.t.Helper()
	if got := w.lines(); !slices.Equal(got, want) {
		w.t.Errorf("the Watch got %q, want %q", got, want)
	}
}

// line formats an entry.
func line(e *pb.Health) string {
	l := health.ID{Service: e.GetService(), Instance: e.GetInstance()}.String() + " " + short(e.GetStatus())
	if e.GetUnconfirmed() {
		l += " unconfirmed"
	}
	if e.GetRemoved() {
		l += " removed"
	}
	return l
}

func short(s pb.Status) string { return strings.TrimPrefix(s.String(), "STATUS_") }

// reports is one open Report.
type reports struct {
	t      *testing.T
	stream grpc.ClientStreamingClient[pb.ReportRequest, pb.ReportResponse]
	cancel context.CancelFunc
	// ended receives the error of the stream, or nil if it was answered.
	ended chan error
}

// report opens a Report and sends the first message, if there is one.
func (c *visitor) report(first *pb.ReportRequest) *reports {
	c.t.Helper()
	ctx, cancel := context.WithCancel(c.t.Context())
	c.t.Cleanup(cancel)
	stream, err := c.leases.Report(ctx)
	if err != nil {
		c.t.Fatal(err)
	}
	r := &reports{t: c.t, stream: stream, cancel: cancel, ended: make(chan error, 1)}
	if first != nil {
		r.says(first)
	}
	go func() { r.ended <- stream.RecvMsg(&pb.ReportResponse{}) }()
	return r
}

// says sends a message. io.EOF means that the stream has ended; end returns the reason.
func (r *reports) says(m *pb.ReportRequest) {
	r.t.Helper()
	if err := r.stream.Send(m); err != nil && !errors.Is(err, io.EOF) {
		r.t.Fatal(err)
	}
}

// end returns the error with which the stream has ended. It fails the test if it is open.
func (r *reports) end() error {
	r.t.Helper()
	synctest.Wait()
	select {
	case err := <-r.ended:
		return err
	default:
		r.t.Fatal("the Report is open")
		return nil
	}
}

// open fails the test if the stream has ended.
func (r *reports) open() {
	r.t.Helper()
	synctest.Wait()
	select {
	case err := <-r.ended:
		r.t.Fatalf("the Report has ended: %v", err)
	default:
	}
}

// wantCode fails the test unless err has this code and this reason.
func wantCode(t *testing.T, err error, want codes.Code, reason string) {
	t.Helper()
	if status.Code(err) != want || wire.ReasonOf(err) != reason {
		t.Errorf("%v, reason %q; want %v, reason %q", err, wire.ReasonOf(err), want, reason)
	}
}

// violation returns the description of an invalid field, and all descriptions.
func violation(err error, field string) (description, all string) {
	for _, d := range status.Convert(err).Details() {
		if bad, ok := d.(*errdetails.BadRequest); ok {
			for _, v := range bad.GetFieldViolations() {
				all += fmt.Sprintf("%s: %s\n", v.GetField(), v.GetDescription())
				if v.GetField() == field {
					description = v.GetDescription()
				}
			}
		}
	}
	return description, all
}

// instance returns a valid registration. Each name has its own port for traffic.
func instance(name string) *pb.Registration {
	id := health.ParseID(name)
	return &pb.Registration{
		Service: id.Service, Instance: id.Instance, Address: "192.0.2.7:80", Incarnation: "i-1",
		Ttl: durationpb.New(10 * time.Minute), Traffic: &pb.Traffic{Address: fmt.Sprintf(":%d", 1+crc32.ChecksumIEEE([]byte(name))%65535)},
	}
}

// registered registers instances and returns their leases.
func (c *visitor) registered(list ...*pb.Registration) []*pb.Lease {
	c.t.Helper()
	resp, err := c.leases.Register(c.t.Context(), &pb.RegisterRequest{Registrations: list})
	if err != nil {
		c.t.Fatal(err)
	}
	return resp.GetLeases()
}

// lease registers one instance.
func (c *visitor) lease(name string) *pb.Lease {
	c.t.Helper()
	return c.registered(instance(name))[0]
}

// check returns an entry, or nil if there is none.
func (c *visitor) check(name string) *pb.Health {
	c.t.Helper()
	resp, err := c.mesh.Check(c.t.Context(), &pb.CheckRequest{Service: name})
	if err != nil && status.Code(err) != codes.NotFound {
		c.t.Fatal(err)
	}
	return resp.GetHealth()
}

// is fails the test unless line formats the entry as want.
func (c *visitor) is(want string) {
	c.t.Helper()
	synctest.Wait()
	name, _, _ := strings.Cut(want, " ")
	if got := line(c.check(name)); got != want {
		c.t.Errorf("%q, want %q", got, want)
	}
}

// wantText fails the test unless the text of err contains all parts.
func wantText(t *testing.T, err error, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if text := status.Convert(err).Message(); !strings.Contains(text, part) {
			t.Errorf("%q does not say %q", text, part)
		}
	}
}
