//go:build linux

package bed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server"
)

// inService has the ServiceOptions, as JSON, in the environment of a process that Service starts.
const inService = "MESHHEALTH_KUBE_SERVICE"

// ServiceOptions describes a service process.
type ServiceOptions struct {
	Service, Instance string
	// Address is where the process serves gRPC: health, and nothing else. A call of the standard
	// Check with the name "" is the call that a test counts.
	Address string
	// Coordinator is where the process registers. Without it, the process does not register.
	Coordinator string
	Zone        string
	Labels      map[string]string
	// Control is filled by Service.
	Control string
}

// Service is a process that embeds the server of meshhealth.
type Service struct {
	*Process
	Address string
	control string
}

// Service starts a service process whose status is SERVING. The process is this test binary: see Main.
func (b *Bed) Service(t testing.TB, o ServiceOptions) *Service {
	t.Helper()
	o.Control = FreePort(t)
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	s := &Service{Address: o.Address, control: "http://" + o.Control + "/status"}
	s.Process = Launch(t, Command{
		Name: o.Service + "-" + o.Instance, Path: "/proc/self/exe", Dir: b.Dir,
		Env:   []string{inService + "=" + string(text)},
		Ready: answers(s.control, ""),
	})
	return s
}

// Set sets the status of the service by hand. It returns when the status is published.
func (s *Service) Set(t testing.TB, status health.Status) {
	t.Helper()
	if err := s.Put(t.Context(), status); err != nil {
		t.Fatal(err)
	}
}

// Put does the same as Set, and may be called from any goroutine.
func (s *Service) Put(ctx context.Context, status health.Status) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, s.control, strings.NewReader(status.String()))
	if err != nil {
		return err
	}
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(reply.Body)
		return fmt.Errorf("PUT %s: %s: %s", s.control, reply.Status, text)
	}
	return nil
}

// runService is the main function of a service process.
func runService(options string) error {
	var o ServiceOptions
	if err := json.Unmarshal([]byte(options), &o); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	srv, err := server.New(server.Config{Service: o.Service})
	if err != nil {
		return err
	}
	if err := srv.SetStatus(health.Serving, ""); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", o.Address)
	if err != nil {
		return err
	}
	g := grpc.NewServer()
	srv.Register(g)
	run := make(chan error, 1)
	go func() { run <- srv.Run(ctx) }()
	if o.Coordinator != "" {
		mesh, err := client.New(client.Config{Coordinator: o.Coordinator, Insecure: true})
		if err != nil {
			return err
		}
		defer mesh.Close()
		mesh.RegisterAsync(client.Instance{
			Service: o.Service, Instance: o.Instance, Address: o.Address, Zone: o.Zone, Labels: o.Labels, Feed: srv.Feed(),
		})
	}
	control := &http.Server{Addr: o.Control, Handler: controls(srv)}
	go func() { fmt.Fprintln(os.Stderr, control.ListenAndServe()) }()
	stopped := make(chan error, 1)
	context.AfterFunc(ctx, func() { stopped <- srv.Stop(g, 5*time.Second) })
	if err := g.Serve(listener); err != nil {
		return err
	}
	return errors.Join(<-stopped, control.Close(), <-run)
}

// controls answers GET with 200, and sets the status that a PUT names.
func controls(srv *server.Server) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPut {
			return
		}
		name, _ := io.ReadAll(io.LimitReader(r.Body, 100))
		status, ok := health.ParseStatus(string(name))
		if !ok {
			http.Error(w, fmt.Sprintf("status: is %q; allowed: the names of health.Status", name), http.StatusBadRequest)
			return
		}
		if err := srv.SetStatus(status, "set by the test"); err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
		}
	})
}
