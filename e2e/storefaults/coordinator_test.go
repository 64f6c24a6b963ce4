//go:build e2e || soak

package storefaults

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/meshhealth/meshhealth/coordinator"
	"github.com/meshhealth/meshhealth/coordinator/store/bolt"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/audit"
)

// coordinatorEnv makes the child run a whole coordinator. The path is its data folder. The value is the
// number of the first step that is executed.
const coordinatorEnv = "MESHHEALTH_STOREFAULTS_COORDINATOR"

// coordinator runs a coordinator, and executes the steps as calls over gRPC. It ends at the first call that
// fails. The addresses refuse connections, so that the coordinator also stores transitions.
func (c *child) coordinator(dir string) error {
	first, err := strconv.Atoi(os.Getenv(coordinatorEnv))
	if err != nil {
		return err
	}
	refuses := func(context.Context, string) (net.Conn, error) { return nil, syscall.ECONNREFUSED }
	return withCoordinator(dir, refuses, func(conn *grpc.ClientConn) error {
		return c.script[first:].callAll(conn, func(n int) { fmt.Println("acknowledged", first+n) })
	})
}

// withCoordinator runs a coordinator with a data folder while f runs. dial opens its connections to instances.
func withCoordinator(dir string, dial func(context.Context, string) (net.Conn, error), f func(*grpc.ClientConn) error) error {
	l := bufconn.Listen(1 << 20)
	c, err := coordinator.New(context.Background(), coordinator.Config{
		DataDir: dir, Listener: l, HTTP: coordinator.Off, InsecureOpen: true, Dial: coordinator.Dial{Context: dial},
		Allow:  []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Policy: health.MeshPolicy{UnreachableAfter: time.Hour}, StoreTrust: 100 * time.Hour,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- c.Run(ctx) }()
	conn, err := grpc.NewClient("passthrough:coordinator", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	if err == nil {
		err = errors.Join(f(conn), conn.Close())
	}
	stop()
	return errors.Join(err, <-ran)
}

// callAll executes all steps, and calls done with the number of each that was acknowledged.
func (s script) callAll(conn *grpc.ClientConn, done func(n int)) error {
	for i := range s {
		if err := s[i].callOver(conn); err != nil {
			return fmt.Errorf("%s %v: %w", s[i].what, s[i].ids, err)
		}
		done(i)
	}
	return nil
}

// callOver executes the step. Reports of instances have no effect on records, and are left out.
func (s *step) callOver(conn *grpc.ClientConn) (err error) {
	ctx, registry, admin := context.Background(), pb.NewRegistryServiceClient(conn), pb.NewAdminServiceClient(conn)
	wait, name := grpc.WaitForReady(true), s.ids[0].String()
	switch s.what {
	case "register":
		req := &pb.RegisterRequest{}
		for _, r := range s.registrations() {
			req.Registrations = append(req.Registrations, &pb.Registration{
				Service: r.ID.Service, Instance: r.ID.Instance, Address: r.Spec.Address, Version: r.Spec.Version, Static: true,
			})
		}
		_, err = registry.Register(ctx, req, wait)
	case "deregister":
		_, err = registry.Deregister(ctx, &pb.DeregisterRequest{Service: s.ids[0].Service, Instance: s.ids[0].Instance}, wait)
	case "override":
		_, err = admin.SetOverride(ctx, &pb.SetOverrideRequest{
			Name: name, Status: pb.Status_STATUS_MAINTENANCE, Reason: s.text, Ttl: durationpb.New(100 * time.Hour),
		}, wait)
	case "clear":
		_, err = admin.ClearOverride(ctx, &pb.ClearOverrideRequest{Name: name, Reason: s.text}, wait)
	}
	return err
}

// line names the line of a step in the audit log of a coordinator. It is empty if the step has none.
func (s script) line(n int) string {
	switch name := s[n].ids[0].String(); s[n].what {
	case "override", "clear":
		return "override " + name + " " + s[n].text
	case "deregister":
		return "admin " + name + " "
	}
	return ""
}

// nameOf names a line of the audit log as script.line does.
func nameOf(l *audit.Line) string {
	_, text, _ := strings.Cut(l.Detail, ": ")
	return l.Verb + " " + l.Object + " " + text
}

// life is the history of a data folder, to which several processes write, one after the other.
type life struct {
	script script
	acked  map[int]bool // steps that must be there
	seen   []int        // steps after these that are there, but that a power cut may still remove; in order
	cut    bool         // a power cut may have left lines of the audit log that were not acknowledged
}

// newLife returns a life in which the first steps of the script were executed already.
func newLife(s script, first int) *life {
	l := &life{script: s, acked: map[int]bool{}}
	for i := range first {
		l.acked[i] = true
	}
	return l
}

// run returns the next run in a folder, and the variables of its child.
func (l *life) run(dir string) (r *run, env []string) {
	r = newRun(dir)
	r.script = l.script
	return r, []string{fmt.Sprint(scriptEnv, "=", len(l.script)), fmt.Sprint(coordinatorEnv, "=", l.next())}
}

// next returns the number of the first step that was neither acknowledged nor seen.
func (l *life) next() int {
	for i := range l.script {
		if !l.acked[i] && !slices.Contains(l.seen, i) {
			return i
		}
	}
	return len(l.script)
}

// mayHave lists the steps that the folder has at least after a run: those that were acknowledged, and none or
// some of those that were only seen. A step that was acknowledged later makes these durable too.
func (l *life) mayHave(r *run) (all []map[int]bool) {
	steps := maps.Clone(l.acked)
	maps.Copy(steps, r.acked)
	for i := 0; ; i++ {
		if i == len(l.seen) || len(r.acked) == 0 {
			all = append(all, maps.Clone(steps))
		}
		if i == len(l.seen) {
			return all
		}
		steps[l.seen[i]] = true
	}
}

// goOn notes what a run has left, on a disk that has lost nothing yet.
func (l *life) goOn(r *run, left map[int]bool) {
	if len(r.acked) > 0 {
		for _, i := range l.seen {
			l.acked[i] = true
		}
		l.seen = nil
	}
	maps.Copy(l.acked, r.acked)
	for _, i := range slices.Sorted(maps.Keys(left)) {
		if !l.acked[i] && !slices.Contains(l.seen, i) {
			l.seen = append(l.seen, i)
		}
	}
}

// restart notes that the disk now has these steps.
func (l *life) restart(has map[int]bool) { l.acked, l.seen = has, nil }

// check checks the data folder that a run has left: it has what was acknowledged, at most one step more, and
// the line of each step in the audit log. It changes nothing, and returns the steps that the folder has.
func (l *life) check(r *run, dir string) (steps map[int]bool, err error) {
	may := l.mayHave(r)
	path := filepath.Join(dir, coordinator.StoreFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) && len(may[0]) == 0 {
		return may[0], nil
	} else if err != nil {
		return nil, err
	}
	s, err := bolt.Open(path, bolt.Options{})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	state, err := s.Load(context.Background())
	if err != nil {
		return nil, err
	}
	for _, least := range may {
		if steps, err = l.script.fits(held(&state), least); err == nil {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	return steps, errors.Join(checkHistory(s), l.checkLines(filepath.Join(dir, audit.Folder), steps))
}

// checkLines checks the audit log of a folder that has these steps.
func (l *life) checkLines(path string, steps map[int]bool) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) && len(steps) == 0 {
		return nil // the process has ended before it made the log
	}
	if !l.cut {
		if err := auditSound(path); err != nil && !(errors.Is(err, errNoAudit) && len(steps) == 0) {
			return err
		}
		if more, _ := filepath.Glob(filepath.Join(path, audit.Writes+"-*")); len(more) > 1 {
			return fmt.Errorf("a coordinator has taken a kill for damage: the log has %q", more)
		}
	}
	return auditHasLines(path, steps, l.script.line, nameOf)
}

// TestCoordinatorKill kills a coordinator at random moments.
func TestCoordinatorKill(t *testing.T) { killCoordinators(t, 60) }

// killCoordinators kills so many processes. A folder is used until its script is complete.
func killCoordinators(t *testing.T, kills int) {
	t.Helper()
	var killed, acked atomic.Int64
	var all sync.WaitGroup
	for range atOnce {
		all.Go(func() {
			for int(killed.Load()) < kills && !t.Failed() {
				dir := t.TempDir()
				if err := newLife(longScript, 0).kill(filepath.Join(dir, "data"), kills, &killed, &acked); err != nil {
					t.Error(err)
					return
				}
				_ = os.RemoveAll(dir)
			}
		})
	}
	all.Wait()
	t.Logf("%d kills, %d steps acknowledged", killed.Load(), acked.Load())
}

// kill lets processes execute the script in a folder, and kills each of them.
func (l *life) kill(dir string, kills int, killed, acked *atomic.Int64) error {
	for l.next() < len(l.script) && int(killed.Load()) < kills {
		r, env := l.run(dir)
		after, later := rand.IntN(30), time.Duration(rand.Int64N(int64(3*time.Millisecond)))
		if after < 6 { // while the process starts
			after, later = 0, time.Duration(rand.Int64N(int64(150*time.Millisecond)))
		}
		if err := r.kill(env, after, later); err != nil {
			return r.explain(err)
		}
		if r.killed {
			killed.Add(1)
		}
		steps, err := l.check(r, dir)
		if err != nil {
			return r.explain(fmt.Errorf("%s: %w", dir, err))
		}
		l.restart(steps)
		acked.Add(int64(len(r.acked)))
	}
	return nil
}
