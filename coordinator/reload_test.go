package coordinator

import (
	"context"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

func target(service string) []Target {
	return []Target{{Service: service, Instance: "1", Address: "127.0.0.1:1"}}
}

// TestReloadAtStart: the targets of a reload during the start replace those of the start.
func TestReloadAtStart(t *testing.T) {
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			c, err := New(t.Context(), Config{Listener: bufconn.Listen(1 << 16), HTTP: Off, Static: target("old")})
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			reloaded, ran := make(chan error, 1), make(chan error, 1)
			go func() { reloaded <- c.Reload(ctx, target("new"), nil) }()
			go func() { ran <- c.Run(ctx) }()
			if err := <-reloaded; err != nil {
				t.Error(err)
			}
			synctest.Wait()
			for service, want := range map[string]bool{"old": false, "new": true} {
				if _, is := c.registry.Feed().Get(health.ID{Service: service}); is != want {
					t.Errorf("%s is registered: %v, want %v", service, is, want)
				}
			}
			stop()
			if err := <-ran; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestReloadOfDependencies: Check, List and Watch show the dependencies of a service, and a reload
// that changes them is published.
func TestReloadOfDependencies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listener := bufconn.Listen(1 << 16)
		policy := func(hard, soft []string) map[string]health.ServicePolicy {
			return map[string]health.ServicePolicy{"pay": {DependsOn: hard, SoftDependsOn: soft}}
		}
		c, err := New(t.Context(), Config{
			Listener: listener, HTTP: Off, Static: target("pay"), Policy: health.MeshPolicy{Services: policy([]string{"db"}, nil)},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ran := make(chan error, 1)
		go func() { ran <- c.Run(ctx) }()
		conn, err := grpc.NewClient("passthrough:///coordinator", grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
		if err != nil {
			t.Fatal(err)
		}
		mesh := pb.NewHealthServiceClient(conn)
		synctest.Wait()
		watching, end := context.WithCancel(t.Context())
		stream, err := mesh.Watch(watching, &pb.WatchRequest{Selector: &pb.Selector{AggregatesOnly: true}})
		if err != nil {
			t.Fatal(err)
		}
		// next returns the next dependencies of pay that the Watch receives.
		next := func() string {
			for {
				m, err := stream.Recv()
				if err != nil {
					t.Fatal(err)
				}
				for _, h := range m.GetEntries() {
					switch {
					case h.GetService() == "pay":
						return dependenciesOf(h)
					case len(h.GetDependencies()) > 0:
						t.Errorf("%s has dependencies", h.GetService())
					}
				}
			}
		}
		if got := next(); got != "db" {
			t.Errorf("the snapshot says %q", got)
		}
		if err := c.Reload(ctx, target("pay"), policy([]string{"db", "auth"}, []string{"mail"})); err != nil {
			t.Fatal(err)
		}
		const want = "auth,db,mail?"
		if got := next(); got != want {
			t.Errorf("the change says %q, want %q", got, want)
		}
		checked, err := mesh.Check(ctx, &pb.CheckRequest{Service: "pay"})
		if got := dependenciesOf(checked.GetHealth()); err != nil || got != want {
			t.Errorf("Check says %q, %v", got, err)
		}
		listed, err := mesh.List(ctx, &pb.ListRequest{Selector: &pb.Selector{Services: []string{"pay"}}})
		if err != nil || len(listed.GetEntries()) != 2 {
			t.Fatal(listed, err)
		}
		for _, h := range listed.GetEntries() {
			if got := dependenciesOf(h); (h.GetInstance() == "") != (got == want) {
				t.Errorf("List says of pay/%s: %q", h.GetInstance(), got)
			}
		}
		end()
		_ = conn.Close()
		stop()
		if err := <-ran; err != nil {
			t.Error(err)
		}
	})
}

// dependenciesOf returns the names of the dependencies of an entry. A soft one has a question mark.
func dependenciesOf(h *pb.Health) string {
	var names []string
	for _, d := range h.GetDependencies() {
		name := d.GetService()
		if d.GetSoft() {
			name += "?"
		}
		names = append(names, name)
	}
	return strings.Join(names, ",")
}
