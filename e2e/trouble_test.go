//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// troubled has a coordinator whose store will fail, and the instances that the coordinator
// follows.
type troubled struct {
	t        *testing.T
	at, http string
	conn     *grpc.ClientConn
	servers  []*stock
	other    *stock // server of all instances that register during the fault
	names    []string
	seen     *seen
	asked    atomic.Int32 // the number of calls of register, each of which registers another service
}

// undamped writes a configuration file that switches flap damping off, because the tests change
// statuses often.
func undamped(t *testing.T) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "undamped.yaml")
	if err := os.WriteFile(file, []byte("policy:\n  flap_half_life: off\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func newTroubled(t *testing.T, at, http string, instances int) *troubled {
	t.Helper()
	conn, err := grpc.NewClient(at, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	tr := &troubled{t: t, at: at, http: http, conn: conn, other: startStock(t)}
	tr.servers, tr.names = fleet(t, at, instances)
	tr.seen = watch(t, at)
	tr.seen.until(pb.Status_STATUS_SERVING, tr.names...)
	return tr
}

// register makes one call with a hundred registrations. They are so large that the file of the
// store needs new pages.
func (tr *troubled) register(ctx context.Context) (first string, err error) {
	req, service := &pb.RegisterRequest{}, fmt.Sprintf("more-%d", tr.asked.Add(1))
	for i := range 100 {
		req.Registrations = append(req.Registrations, &pb.Registration{
			Service: service, Instance: fmt.Sprint(i), Address: tr.other.address, Static: true,
			Labels: map[string]string{"filler": strings.Repeat("x", 200)},
		})
	}
	_, err = pb.NewRegistryServiceClient(tr.conn).Register(ctx, req)
	return service + "/0", err
}

// refused registers instances until the store fails. It requires that the error has the right
// code and reason, and contains the text why.
func (tr *troubled) refused(why string) {
	tr.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		first, err := tr.register(ctx)
		if err == nil {
			continue
		}
		delay, said := wire.RetryDelay(err)
		if status.Code(err) != codes.Unavailable || wire.ReasonOf(err) != wire.ReasonStore || !said || delay <= 0 || !strings.Contains(err.Error(), why) {
			tr.t.Fatalf("refused with %v (%s), to come again after %v; want UNAVAILABLE, STORE, RetryInfo and %q", err, wire.ReasonOf(err), delay, why)
		}
		if _, stderr, code := call(tr.t, meshhealth, "status", first, "--coordinator", tr.at); code != 3 {
			tr.t.Errorf("%s was refused, and it is there: exit %d %s", first, code, stderr)
		}
		return
	}
}

// flips changes the status of each instance, and requires that each change is published.
func (tr *troubled) flips() {
	tr.t.Helper()
	for i, s := range tr.servers {
		began := time.Now()
		s.SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
		tr.seen.until(pb.Status_STATUS_NOT_SERVING, tr.names[i])
		tr.t.Logf("%s was seen to flip after %v", tr.names[i], time.Since(began))
		s.SetServingStatus("", healthpb.HealthCheckResponse_SERVING)
	}
	tr.seen.until(pb.Status_STATUS_SERVING, tr.names...)
}

// saysSo requires that the coordinator reports the fault of its store everywhere: in List, in
// its metrics and in `meshhealth status`.
func (tr *troubled) saysSo(why string) {
	tr.t.Helper()
	tr.tells("Watch", func() (string, bool) { return "", tr.seen.is("", pb.Status_STATUS_DEGRADED) })
	tr.tells("List", func() (string, bool) { return tr.selfSays(why) })
	for _, line := range []string{`meshhealth_coordinator_status 1`, `meshhealth_coordinator_state{state="DEGRADED"} 1`} {
		tr.tells("/metrics", func() (string, bool) { return line, tr.hasMetric(line) })
	}
	tr.tells("status", func() (string, bool) {
		out, stderr, _ := call(tr.t, meshhealth, "status", "--coordinator", tr.at)
		return out + stderr, strings.Contains(out, "DEGRADED") && strings.Contains(out, why)
	})
}

// tells looks until the trouble is told. A full disk may have room for a small commit, which
// ends the trouble until the next registration. So it registers before each further look.
func (tr *troubled) tells(where string, look func() (said string, ok bool)) {
	tr.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for said, ok := look(); !ok; said, ok = look() {
		attempt, end := context.WithTimeout(ctx, time.Second) // a store that hangs does not answer
		_, err := tr.register(attempt)
		if end(); ctx.Err() != nil {
			tr.t.Fatalf("%s does not tell of the trouble: %s; a registration: %v", where, said, err)
		}
	}
}

// selfSays reports whether List says that the coordinator is DEGRADED, and why.
func (tr *troubled) selfSays(why string) (said string, ok bool) {
	tr.t.Helper()
	all, err := pb.NewHealthServiceClient(tr.conn).List(context.Background(), &pb.ListRequest{PageSize: 1000})
	if err != nil {
		tr.t.Fatal(err)
	}
	self := &pb.Health{}
	for _, e := range all.GetEntries() {
		if e.GetService() == "" {
			self = e
		}
	}
	return self.String(), self.GetStatus() == pb.Status_STATUS_DEGRADED && strings.Contains(self.GetReason(), why)
}

// metric waits until the metrics page has the line, since metrics change after the publication.
func (tr *troubled) metric(line string) {
	tr.t.Helper()
	for late := time.Now().Add(patience); time.Now().Before(late); {
		if tr.hasMetric(line) {
			return
		}
	}
	tr.t.Fatalf("the metrics do not say %s", line)
}

func (tr *troubled) hasMetric(line string) bool {
	tr.t.Helper()
	resp, err := http.Get("http://" + tr.http + "/metrics")
	if err != nil {
		tr.t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	return err == nil && strings.Contains("\n"+string(page), "\n"+line+"\n")
}

// well wants all to be as if nothing had been, and what was seen meanwhile in
// the history.
func (tr *troubled) well() {
	tr.t.Helper()
	tr.seen.until(pb.Status_STATUS_SERVING, "")
	tr.metric(`meshhealth_coordinator_status 2`)
	if _, err := tr.register(context.Background()); err != nil {
		tr.t.Errorf("the trouble is over: %v", err)
	}
	tr.flips()
	for _, name := range tr.names {
		stored(tr.t, tr.at, name, "STATUS_NOT_SERVING", 2) // during the trouble, and after it
	}
}

// endures begins a fault of the store, checks the coordinator during the fault, ends the fault,
// and checks that the coordinator works again.
func (tr *troubled) endures(why string, begin func() (end func())) {
	tr.t.Helper()
	end := begin()
	tr.refused(why)
	tr.saysSo(why)
	tr.flips()
	tr.saysSo(why)
	end()
	tr.well()
}
