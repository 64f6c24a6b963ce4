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

// process is one instance of a service in a mesh. The method act executes a command of the
// script, such as "fail", on the process.
type process interface {
	act(verb, text string) error
	kill()
}

// Mesh is a coordinator with services in one in-memory network, and a watcher of the
// coordinator. A Mesh must be used by one goroutine.
type Mesh struct {
	t         testing.TB
	net       *Network
	store     *keptStore
	pause     atomic.Int64 // duration in nanoseconds for which the next log call of the coordinator blocks
	processes map[string]process
	addresses map[string]string
	// superseded has each process whose name a newer process has taken over. The key is the name.
	superseded map[string]*service

	client  *client.Client
	watcher *watcher
	stop    context.CancelFunc // ends the coordinator
	ended   chan error
}

// keptStore is a store in memory whose content remains after Close, as in a file.
type keptStore struct{ store.Store }

// Close does nothing, so that the next coordinator can use the store.
func (keptStore) Close() error { return nil }

// New starts a coordinator and a watcher, without any service. It must be called in a synctest
// bubble. The caller must call Close.
func New(t testing.TB) *Mesh {
	m := &Mesh{
		t: t, net: NewNetwork(), store: &keptStore{store.NewMemory(0)},
		processes: map[string]process{}, addresses: map[string]string{}, superseded: map[string]*service{},
	}
	m.startCoordinator()
	var err error
	m.client, err = client.New(client.Config{
		Coordinator: "passthrough:///" + coordinatorAddress, Credentials: insecure.NewCredentials(),
		DialOptions: []grpc.DialOption{grpc.WithContextDialer(m.net.Dial)},
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
		Dial:   coordinator.Dial{Context: m.net.Dial},
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

// stopCoordinator ends the coordinator as SIGTERM does. If crash is true, all its connections
// break first, so that clients and targets see the same as after SIGKILL.
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
		return nil // the error only says that the listener is closed
	}
	return err
}

// pausing is a log handler that can pause the owner, the goroutine that owns the mesh. The
// owner calls Enabled for each transition, and Enabled blocks. No other method blocks.
type pausing struct {
	slog.Handler
	m *Mesh
}

// Enabled sleeps once for the duration that the script has set, and reports false.
func (p *pausing) Enabled(context.Context, slog.Level) bool {
	time.Sleep(time.Duration(p.m.pause.Swap(0)))
	return false
}

// process returns the process with this name, or an error if the script has started none.
func (m *Mesh) process(name string) (process, error) {
	p := m.processes[name]
	if p == nil {
		return nil, fmt.Errorf("no service %s was started", name)
	}
	return p, nil
}

// address returns the address of the instance with this name. The first call for a name
// chooses a new address.
func (m *Mesh) address(name string) string {
	if m.addresses[name] == "" {
		m.addresses[name] = fmt.Sprintf("127.0.0.1:%d", 9000+len(m.addresses))
	}
	return m.addresses[name]
}

// Close ends all processes, the watcher and the coordinator.
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

// storeDelay is a time after which the coordinator has certainly stored a published transition.
const storeDelay = 100 * time.Millisecond

// journal returns the transitions of a name that the coordinator has stored, the oldest first.
func (m *Mesh) journal(id health.ID) ([]store.Transition, error) {
	time.Sleep(storeDelay)
	page, err := m.store.Transitions(context.Background(), store.Query{ID: id, Limit: store.MaxPage})
	for i, j := 0, len(page.Transitions)-1; i < j; i, j = i+1, j-1 {
		page.Transitions[i], page.Transitions[j] = page.Transitions[j], page.Transitions[i]
	}
	return page.Transitions, err
}
