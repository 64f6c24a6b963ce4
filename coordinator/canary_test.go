package coordinator_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	discoverypb "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/meshhealth/meshhealth/client"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/server"
	"github.com/meshhealth/meshhealth/server/check"
)

// buffer is a buffer that several goroutines may write to.
type buffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// canary is part of each secret in TestCanaries.
const canary = "c4n4ry"

// TestCanaries puts secrets into the errors and panics of checks, into URLs and into tokens. It looks for them in all
// that the coordinator says, at every level of detail, writes to its log or its audit log, or stores. Those who may see
// the reasons of a service see the texts only if the service permits it.
func TestCanaries(t *testing.T) {
	m := newProvenMesh(t)
	var log buffer
	m.logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelInfo}))
	token := "token-" + canary
	m.policy.Tokens = map[string][]access.TokenHash{"ops": {sha256.Sum256([]byte(token))}}
	all := []string{"*"}
	for name, d := range map[string]access.Detail{"reads-status": access.Status, "reads-reasons": access.Reason} {
		m.policy.Rules = append(m.policy.Rules, access.Rule{
			Name: name, Who: []string{"spiffe://mesh.test/" + name}, Read: &access.Read{Services: all, Detail: d}, Route: &access.Services{Services: all},
		})
	}
	m.policy.Rules = append(m.policy.Rules, access.Rule{Name: "ops", Who: []string{"token:ops"}, Admin: true, Read: &access.Read{Services: all, Detail: access.Evidence}})
	m.start()
	stop := m.failing()

	said := map[string]string{}
	for _, who := range []string{"reads-status", "reads-reasons", "reader"} {
		conn := m.dial(who)
		m.untilIn(conn, "pay/1", func(h *pb.Health) bool {
			return h.GetStatus() == pb.Status_STATUS_NOT_SERVING && len(h.GetChecks()) == 3
		})
		m.collect(said, who+": ", conn)
	}
	m.useTokens(said, token)
	stop()
	m.stop()
	said["log"] = log.String()
	files := 0
	err := filepath.WalkDir(m.data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		text, err := os.ReadFile(path)
		said[path] = string(text)
		return err
	})
	if err != nil || files < 2 {
		t.Fatalf("%v: %d files in the folder of data", err, files)
	}
	for what, text := range said {
		if text == "" && !strings.Contains(what, "lock") {
			t.Errorf("%s says nothing", what)
		}
		if at := strings.Index(text, canary); at >= 0 {
			t.Errorf("%s has a secret: %.200q", what, text[max(0, at-80):])
		}
	}
}

// failing registers pay/1, whose three checks fail with secrets in their texts.
func (m *provenMesh) failing() (stop func()) {
	m.t.Helper()
	hs, err := server.New(server.Config{Service: "pay", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		m.t.Fatal(err)
	}
	err = hs.Add(
		server.Check{Name: "error", FailAfter: 1, Run: func(context.Context) error {
			return errors.New("connect to postgres://app:" + canary + "@db/pay: refused")
		}},
		server.Check{Name: "panic", FailAfter: 1, Run: func(context.Context) error { panic("password=" + canary) }},
		server.Check{Name: "url", FailAfter: 1, Run: check.HTTP(nil, "http://user:"+canary+"@127.0.0.1:1/?key="+canary)},
	)
	if err != nil {
		m.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(m.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- hs.Run(ctx) }()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		m.t.Fatal(err)
	}
	s := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{m.certificate("proven")}, MinVersion: tls.VersionTLS13})))
	hs.Register(s)
	go func() { _ = s.Serve(l) }()
	c, err := client.New(client.Config{Coordinator: m.at, Credentials: m.credentials("proven"), Logger: m.logger})
	if err != nil {
		m.t.Fatal(err)
	}
	if _, err := c.Register(m.t.Context(), client.Instance{Service: "pay", Instance: "1", Address: l.Addr().String(), Feed: hs.Feed()}); err != nil {
		m.t.Fatal(err)
	}
	return func() {
		_ = c.Close()
		s.Stop()
		cancel()
		if err := <-ended; err != nil {
			m.t.Error(err)
		}
	}
}

// untilIn waits until the entry of a name is as wanted, on a Watch over conn.
func (m *provenMesh) untilIn(conn *grpc.ClientConn, name string, want func(*pb.Health) bool) {
	m.t.Helper()
	w, err := pb.NewHealthServiceClient(conn).Watch(m.t.Context(), &pb.WatchRequest{Names: []string{name}})
	if err != nil {
		m.t.Fatal(err)
	}
	for {
		msg, err := w.Recv()
		if err != nil {
			m.t.Fatal(err)
		}
		for _, h := range msg.GetEntries() {
			if want(h) {
				return
			}
		}
	}
}

// collect adds to said what the coordinator answers to all reading calls of a caller.
func (m *provenMesh) collect(said map[string]string, who string, conn *grpc.ClientConn) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), 30*time.Second)
	defer cancel()
	var header, trailer metadata.MD
	note := func(what string, msg proto.Message, err error) {
		text := fmt.Sprint(msg, err, header, trailer)
		if err == nil {
			raw, failed := proto.Marshal(msg)
			if failed != nil {
				m.t.Fatal(failed)
			}
			text += string(raw)
		}
		said[who+what] = text
	}
	options := []grpc.CallOption{grpc.Header(&header), grpc.Trailer(&trailer)}
	mesh, admin := pb.NewHealthServiceClient(conn), pb.NewAdminServiceClient(conn)
	check, err := mesh.Check(ctx, &pb.CheckRequest{Service: "pay/1"}, options...)
	note("Check", check, err)
	list, err := mesh.List(ctx, &pb.ListRequest{}, options...)
	note("List", list, err)
	standard, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{Service: "pay/1"}, options...)
	note("standard Check", standard, err)
	if w, err := mesh.Watch(ctx, &pb.WatchRequest{}); err == nil {
		first, err := w.Recv()
		note("Watch", first, err)
	}
	explain, err := admin.Explain(ctx, &pb.ExplainRequest{Name: "pay/1"}, options...)
	note("Explain", explain, err)
	history, err := admin.ListTransitions(ctx, &pb.ListTransitionsRequest{}, options...)
	note("ListTransitions", history, err)
	state, err := admin.GetCoordinator(ctx, &pb.GetCoordinatorRequest{}, options...)
	note("GetCoordinator", state, err)
	routes, err := admin.ListRoutes(ctx, &pb.ListRoutesRequest{Service: "pay"}, options...)
	note("ListRoutes", routes, err)
	stream, err := discoverypb.NewAggregatedDiscoveryServiceClient(conn).StreamAggregatedResources(ctx)
	if err == nil {
		err = stream.Send(&discoverypb.DiscoveryRequest{TypeUrl: edsType, ResourceNames: []string{"pay"}})
	}
	if err != nil {
		m.t.Fatal(err)
	}
	set, err := stream.Recv()
	note("xDS", set, err)
}

const edsType = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"

// useTokens calls with a token that is right, wrong, or beside a certificate, and adds the errors to said.
func (m *provenMesh) useTokens(said map[string]string, token string) {
	m.t.Helper()
	anonymous := credentials.NewTLS(&tls.Config{RootCAs: m.ca.Pool(), MinVersion: tls.VersionTLS13})
	for what, c := range map[string]struct {
		creds credentials.TransportCredentials
		token string
		code  codes.Code
	}{
		"right token":                {anonymous, token, codes.OK},
		"wrong token":                {anonymous, "wrong-" + canary, codes.Unauthenticated},
		"token beside a certificate": {m.credentials("reader"), token, codes.Unauthenticated},
	} {
		conn, err := grpc.NewClient(m.at, grpc.WithTransportCredentials(c.creds))
		if err != nil {
			m.t.Fatal(err)
		}
		ctx := metadata.AppendToOutgoingContext(m.t.Context(), "authorization", "Bearer "+c.token)
		state, err := pb.NewAdminServiceClient(conn).GetCoordinator(ctx, &pb.GetCoordinatorRequest{})
		if status.Code(err) != c.code {
			m.t.Errorf("%s: %v, want %v", what, err, c.code)
		}
		said[what] = fmt.Sprint(state, err)
		_ = conn.Close()
	}
}
