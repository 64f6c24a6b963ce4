package chaos

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/meshhealth/meshhealth/client"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
)

// The sizes of messages from and to the coordinator.
const (
	perRegister = 500  // number of registrations in one Register call
	perList     = 1000 // number of entries in one answer of List
)

// newClient returns a client of the coordinator. The client is closed at the end of the scenario.
func (r *rig) newClient() (*client.Client, error) {
	c, err := client.New(client.Config{Coordinator: r.coordinator.at})
	if err == nil {
		r.onClose(func() { _ = c.Close() })
	}
	return c, err
}

// register registers targets at the coordinator, in several calls if there are many.
func (r *rig) register(all []*pb.Registration) error {
	if len(all) == 0 {
		return nil
	}
	c, err := r.newClient()
	if err != nil {
		return err
	}
	registry := pb.NewRegistryServiceClient(c.Conn())
	for first := 0; first < len(all); first += perRegister {
		ctx, cancel := context.WithTimeout(r.ctx, patience)
		_, err := registry.Register(ctx, &pb.RegisterRequest{Registrations: all[first:min(first+perRegister, len(all))]})
		cancel()
		if err != nil {
			return fmt.Errorf("registering %d targets: %w", len(all), err)
		}
	}
	return nil
}

// staticRegistrations returns a registration for each static target of the child process. A
// static target does not register itself.
func (h *hostProcess) staticRegistrations() []*pb.Registration {
	var all []*pb.Registration
	for _, t := range h.listTargets() {
		if t.leased {
			continue
		}
		one := &pb.Registration{Service: t.id.Service, Instance: t.id.Instance, Address: t.address, Static: true}
		if t.name != t.id.Service {
			one.HealthName = t.name
		}
		all = append(all, one)
	}
	return all
}

// list returns all entries that match the selector s, as List of the coordinator returns them.
func list(ctx context.Context, c *client.Client, s *pb.Selector) ([]*pb.Health, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var all []*pb.Health
	req := &pb.ListRequest{Selector: s, PageSize: perList}
	for {
		page, err := pb.NewHealthServiceClient(c.Conn()).List(ctx, req)
		if err != nil {
			return nil, fmt.Errorf("listing: %w", err)
		}
		all = append(all, page.GetEntries()...)
		if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
			return all, nil
		}
	}
}

// metric returns the value of a metric of the coordinator. The metric must have no labels.
func (r *rig) metric(name string) (float64, error) {
	ctx, cancel := context.WithTimeout(r.ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.coordinator.web+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close() //nolint:errcheck // a failed Close loses nothing, because the body was only read
	text, err := io.ReadAll(resp.Body)
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+" "); ok {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, fmt.Errorf("there is no metric %s: %w", name, err)
}

// commandOutput runs the program meshhealth with these arguments and returns its output. The
// exit code is ignored, since it depends on the status of the mesh.
func (r *rig) commandOutput(args ...string) (string, error) {
	cmd := r.cfg.Command(r.ctx, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, r.log
	p, err := startProcess(cmd)
	if err != nil {
		return "", err
	}
	defer p.close()
	select {
	case <-p.ended:
		return out.String(), nil
	case <-r.ctx.Done():
		p.kill()
		return "", r.ctx.Err()
	}
}
