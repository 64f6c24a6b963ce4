package testmesh

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/coordinator"
	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
)

const coordinatorAddress = "127.0.0.1:7070"

// process is one service of a mesh.
type process interface {
	act(verb, text string) error
	kill()
}

// Mesh is a coordinator, services, and a watcher of the coordinator.
type Mesh struct {
	t         testing.TB
	net       *network
	store     *keptStore
	pause     atomic.Int64
	processes map[string]process
	addresses map[string]string
	// superseded are the services whose name another one has taken over.
	superseded map[string]*service

	client  *client.Client
	watcher *watcher
	stop    context.CancelFunc // of the coordinator
	ended   chan error
}

// keptStore outlives the coordinator, as a file does.
type keptStore struct{ store.Store }

// Close keeps everything.
func (keptStore) Close() error { return nil }

// New starts a mesh without services. It must be called in a bubble; Close
// ends everything.
func New(t testing.TB) *Mesh {
	m := &Mesh{
		t: t, net: newNetwork(), store: &keptStore{store.NewMemory(0)},
		processes: map[string]process{}, addresses: map[string]string{}, superseded: map[string]*service{},
	}
	m.startCoordinator()
	var err error
	m.client, err = client.New(client.Config{
		Coordinator: "passthrough:///" + coordinatorAddress, Credentials: insecure.NewCredentials(),
		DialOptions: []grpc.DialOption{grpc.WithContextDialer(m.net.dial)},
	})
	if err != nil {
		t.Fatal(err)
	}
	m.watcher = watch(m.client)
	return m
}

func (m *Mesh) startCoordinator() {
	m.t.Helper()
	c, err := coordinator.New(context.Background(), coordinator.Config{
		Listener: m.net.host(coordinatorAddress).open(), HTTP: coordinator.Off, Store: m.store,
		Dial:   coordinator.Dial{Context: m.net.dial},
		Logger: slog.New(&pausing{Handler: slog.DiscardHandler, m: m}),
	})
	if err != nil {
		m.t.Fatal(err)
	}
	var ctx context.Context
	ctx, m.stop = context.WithCancel(context.Background())
	m.ended = make(chan error, 1)
	go func() { m.ended <- c.Run(ctx) }()
}

// stopCoordinator ends it as SIGTERM does; crash, as SIGKILL does to who talks
// to it.
func (m *Mesh) stopCoordinator(crash bool) error {
	h := m.net.host(coordinatorAddress)
	if crash {
		h.kill()
	}
	m.stop()
	err := <-m.ended
	m.ended = nil
	h.kill()
	if crash {
		return nil // it complains about its listener
	}
	return err
}

// pausing is a log that can take its time: it holds up the goroutine that owns
// the mesh, as a stopped process would.
type pausing struct {
	slog.Handler
	m *Mesh
}

// Enabled says yes, so that Handle is called.
func (*pausing) Enabled(context.Context, slog.Level) bool { return true }

// Handle sleeps as long as the script wants, once.
func (p *pausing) Handle(context.Context, slog.Record) error {
	time.Sleep(time.Duration(p.m.pause.Swap(0)))
	return nil
}

// process returns one the script has started.
func (m *Mesh) process(name string) (process, error) {
	p := m.processes[name]
	if p == nil {
		return nil, fmt.Errorf("no service %s was started", name)
	}
	return p, nil
}

// address gives each name an address of its own, for ever.
func (m *Mesh) address(name string) string {
	if m.addresses[name] == "" {
		m.addresses[name] = fmt.Sprintf("127.0.0.1:%d", 9000+len(m.addresses))
	}
	return m.addresses[name]
}

// Close ends the mesh.
func (m *Mesh) Close() {
	for name, p := range m.processes {
		p.kill()
		delete(m.processes, name)
	}
	for _, s := range m.superseded {
		s.kill()
	}
	m.watcher.close()
	_ = m.client.Close()
	if m.ended == nil {
		return
	}
	if err := m.stopCoordinator(false); err != nil {
		m.t.Errorf("the coordinator ended with: %v", err)
	}
}

// written is more than what nobody waits for waits for company in the
// coordinator, before it is stored.
const written = 100 * time.Millisecond

// journal returns what the coordinator has stored of a name, oldest first.
func (m *Mesh) journal(id health.ID) ([]store.Transition, error) {
	time.Sleep(written)
	page, err := m.store.Transitions(context.Background(), store.Query{ID: id, Limit: store.MaxPage})
	for i, j := 0, len(page.Transitions)-1; i < j; i, j = i+1, j-1 {
		page.Transitions[i], page.Transitions[j] = page.Transitions[j], page.Transitions[i]
	}
	return page.Transitions, err
}
