package coordinator

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// reading collects all values that a client can read, in every form that a request accepts.
type reading struct {
	t      *testing.T
	conn   *grpc.ClientConn
	values map[string]bool
}

func (r *reading) add(text string) {
	r.values[text] = true
	for _, word := range regexp.MustCompile(`[^A-Za-z0-9+/=_-]+`).Split(text, -1) {
		r.values[word] = true
	}
	if n, err := strconv.ParseUint(text, 10, 64); err == nil {
		r.values[strconv.FormatUint(n, 16)] = true
	}
}

func (r *reading) message(m proto.Message) {
	m.ProtoReflect().Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap():
			v.Map().Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
				r.add(k.String())
				r.value(f.MapValue(), v)
				return true
			})
		case f.IsList():
			for i := range v.List().Len() {
				r.value(f, v.List().Get(i))
			}
		default:
			r.value(f, v)
		}
		return true
	})
}

func (r *reading) value(f protoreflect.FieldDescriptor, v protoreflect.Value) {
	switch f.Kind() {
	case protoreflect.MessageKind:
		r.message(v.Message().Interface())
	case protoreflect.BytesKind:
		r.add(hex.EncodeToString(v.Bytes()))
		r.add(base64.StdEncoding.EncodeToString(v.Bytes()))
		r.values[string(v.Bytes())] = true
	default:
		r.add(v.String())
	}
}

// everything calls every method that only reads.
func (r *reading) everything(c *Coordinator, name string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	take := func(m proto.Message, err error) {
		r.t.Helper()
		if err != nil {
			r.t.Fatal(err)
		}
		r.message(m)
	}
	mesh, admin := pb.NewHealthServiceClient(r.conn), pb.NewAdminServiceClient(r.conn)
	var header, trailer metadata.MD
	for _, id := range []string{name, "pay", "*", ""} {
		m, err := mesh.Check(ctx, &pb.CheckRequest{Service: id}, grpc.Header(&header), grpc.Trailer(&trailer))
		take(m, err)
		s, err := healthpb.NewHealthClient(r.conn).Check(ctx, &healthpb.HealthCheckRequest{Service: id}, grpc.Header(&header), grpc.Trailer(&trailer))
		take(s, err)
		e, err := admin.Explain(ctx, &pb.ExplainRequest{Name: id})
		take(e, err)
		r.add(fmt.Sprint(header, trailer))
	}
	l, err := mesh.List(ctx, &pb.ListRequest{})
	take(l, err)
	h, err := admin.ListTransitions(ctx, &pb.ListTransitionsRequest{})
	take(h, err)
	o, err := admin.ListOverrides(ctx, &pb.ListOverridesRequest{})
	take(o, err)
	g, err := admin.GetCoordinator(ctx, &pb.GetCoordinatorRequest{})
	take(g, err)
	for _, req := range []*pb.WatchRequest{{}, {Names: []string{name}}} {
		stream, err := mesh.Watch(ctx, req)
		if err != nil {
			r.t.Fatal(err)
		}
		m, err := stream.Recv()
		take(m, err)
	}
	for _, path := range []string{"/metrics", "/livez", "/readyz", "/"} {
		_, body := page(r.t, c, "GET", path, "")
		r.add(body)
	}
}

// safeBuffer is a buffer for logs that is safe for concurrent use.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// No readable value lets another client renew, report for or deregister an instance, or
// register with its incarnation. Another client may take over the name with an incarnation
// of its own, and the previous process then receives an error.
func TestNothingReadableIsAKey(t *testing.T) {
	t.Run("with a key", func(t *testing.T) { nothingReadable(t, bytes.Repeat([]byte{7, 99, 201, 13}, health.KeyBytes/4)) })
	t.Run("without one", func(t *testing.T) { nothingReadable(t, nil) })
}

func nothingReadable(t *testing.T, key []byte) {
	logs := &safeBuffer{}
	c := running(t, Config{Logger: slog.New(slog.NewTextHandler(logs, &slog.HandlerOptions{Level: slog.LevelDebug, AddSource: true}))})
	conn, err := grpc.NewClient(c.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	leases := pb.NewRegistryServiceClient(conn)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	victim := &pb.Registration{
		Service: "pay", Instance: "a", Address: "127.0.0.1:1", Incarnation: "inc-1", Key: key,
		Ttl: durationpb.New(wire.MaxTTL), Labels: map[string]string{"team": "core"}, Zone: "eu-1", Version: "v1",
	}
	registered, err := leases.Register(ctx, &pb.RegisterRequest{Registrations: []*pb.Registration{victim}})
	if err != nil {
		t.Fatal(err)
	}
	lease := registered.GetLeases()[0].GetLeaseId()
	renew := func(id string) error {
		_, err := leases.Renew(ctx, &pb.RenewRequest{Service: "pay", Instance: "a", LeaseId: id})
		return err
	}
	report := func(id string) error {
		stream, err := leases.Report(ctx)
		if err != nil {
			return err
		}
		if err := stream.Send(&pb.ReportRequest{Service: "pay", Instance: "a", LeaseId: id, Status: pb.Status_STATUS_SERVING}); err != nil {
			return err
		}
		_, err = stream.CloseAndRecv()
		return err
	}
	if err := renew(lease); err != nil {
		t.Fatal(err)
	}
	if err := report(lease); err != nil {
		t.Fatal(err)
	}

	r := &reading{t: t, conn: conn, values: map[string]bool{}}
	r.everything(c, "pay/a")
	r.add(logs.String())
	if n := len(r.values); n < 500 || !r.values["core"] {
		t.Fatalf("only %d values were read", n)
	}
	if key == nil && r.values["inc-1"] {
		t.Error("the incarnation can be read, which is all there is to show")
	}
	tried := 0
	for v := range r.values {
		if v == lease || key != nil && holds(v, key) {
			t.Errorf("%.100q can be read", v)
		}
		if _, err := strconv.ParseUint(v, 16, 64); err == nil || v == "" || v == "inc-1" {
			tried++
			if err := renew(v); err == nil {
				t.Errorf("%q renews", v)
			}
			if err := report(v); err == nil {
				t.Errorf("%q reports", v)
			}
			if _, err := leases.Deregister(ctx, &pb.DeregisterRequest{Service: "pay", Instance: "a", LeaseId: v}); err == nil {
				t.Fatalf("%q deregisters", v)
			}
		}
		if key == nil {
			continue
		}
		for _, as := range [][]byte{[]byte(v), decoded(hex.DecodeString(v)), decoded(base64.StdEncoding.DecodeString(v))} {
			if len(as) != health.KeyBytes && len(as) != 0 {
				continue
			}
			again := proto.CloneOf(victim)
			again.Key, again.Address = as, "127.0.0.1:2"
			if _, err := leases.Register(ctx, &pb.RegisterRequest{Registrations: []*pb.Registration{again}}); status.Code(err) != codes.PermissionDenied {
				t.Fatalf("with the key %x: %v", as, err)
			}
		}
	}
	if tried < 20 {
		t.Errorf("only %d values were tried", tried)
	}
	if err := renew(lease); err != nil {
		t.Fatalf("after all that the process cannot renew: %v", err)
	}

	other := proto.CloneOf(victim)
	other.Incarnation, other.Key = "inc-2", nil
	if _, err := leases.Register(ctx, &pb.RegisterRequest{Registrations: []*pb.Registration{other}}); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{"renew": renew(lease), "report": report(lease)} {
		if wire.ReasonOf(err) != wire.ReasonSuperseded {
			t.Errorf("who is superseded gets on %s: %v", what, err)
		}
	}
	if _, err := leases.Deregister(ctx, &pb.DeregisterRequest{Service: "pay", Instance: "a", LeaseId: lease}); wire.ReasonOf(err) != wire.ReasonSuperseded {
		t.Errorf("who is superseded gets on deregister: %v", err)
	}
	if _, err := leases.Deregister(ctx, &pb.DeregisterRequest{Service: "pay", Instance: "a", Force: true}); wire.ReasonOf(err) != wire.ReasonNotAllowed {
		t.Errorf("by force, over loopback: %v", err)
	}
}

func holds(v string, key []byte) bool {
	return bytes.Contains([]byte(v), key) || strings.Contains(v, hex.EncodeToString(key)) || strings.Contains(v, base64.StdEncoding.EncodeToString(key))
}

func decoded(b []byte, err error) []byte {
	if err != nil {
		return []byte("no key")
	}
	return b
}
