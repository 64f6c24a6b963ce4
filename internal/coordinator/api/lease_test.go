package api

import (
	"fmt"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/meshhealth/meshhealth/coordinator/store"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

func renewal(l *pb.Lease) *pb.RenewRequest {
	return &pb.RenewRequest{Service: l.GetService(), Instance: l.GetInstance(), LeaseId: l.GetLeaseId()}
}

func farewell(l *pb.Lease) *pb.DeregisterRequest {
	return &pb.DeregisterRequest{Service: l.GetService(), Instance: l.GetInstance(), LeaseId: l.GetLeaseId()}
}

// brief returns an instance with a TTL.
func brief(name string, ttl time.Duration) *pb.Registration {
	r := instance(name)
	r.Ttl = durationpb.New(ttl)
	return r
}

func fixture(name string) *pb.Registration {
	r := instance(name)
	r.Static, r.Incarnation, r.Ttl = true, "", nil
	return r
}

// When Register answers, the instance is in the store and in the feed.
func TestRegisterAnswersWhenItIsDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := store.NewMemory(0)
		w := newWorld(t, func(s *setup) { s.store = kept })
		absent := instance("shop/1")
		absent.Ttl = nil
		for i, l := range w.registered(brief("pay/1", 5*time.Second), absent, fixture("pay/2")) {
			want := []struct {
				name string
				ttl  time.Duration
			}{{"pay/1", 5 * time.Second}, {"shop/1", wire.DefaultTTL}, {"pay/2", 0}}[i]
			id := health.ID{Service: l.GetService(), Instance: l.GetInstance()}
			if id.String() != want.name || l.GetTtl().AsDuration() != want.ttl || l.GetAddress() != "192.0.2.7:80" {
				t.Errorf("%v, want %v", l, want)
			}
			state, err := kept.Lookup(t.Context(), []health.ID{id})
			if err != nil || len(state.Registrations) != 1 || strconv.FormatUint(state.Registrations[0].Lease, 16) != l.GetLeaseId() {
				t.Errorf("%s: the store holds %v, %v", id, state.Registrations, err)
			}
			if h := w.check(id.String()); h.GetStatus() != pb.Status_STATUS_STARTING {
				t.Errorf("%s: %v", id, h)
			}
		}
	})
}

func TestSameRegistrationChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		first := w.registered(instance("pay/1"), fixture("pay/2"))
		in := w.watch(&pb.WatchRequest{})
		in.entries()
		again := w.registered(instance("pay/1"), fixture("pay/2"))
		for i := range first {
			if first[i].String() != again[i].String() {
				t.Errorf("%v, then %v", first[i], again[i])
			}
		}
		in.wants()
		// The same process with other labels keeps its lease, and its change is published.
		r := instance("pay/1")
		r.Labels = map[string]string{"env": "prod"}
		if l := w.registered(r)[0]; l.GetLeaseId() != first[0].GetLeaseId() {
			t.Errorf("another lease: %v", l)
		}
		if news := in.entries(); len(news) != 1 || news[0].GetLabels()["env"] != "prod" {
			t.Errorf("the Watch got %v", news)
		}
	})
}

func TestRenewKeepsALease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		l := w.registered(brief("pay/1", 30*time.Second))[0]
		for range 10 {
			time.Sleep(20 * time.Second)
			resp, err := w.leases.Renew(t.Context(), renewal(l))
			if err != nil || resp.GetTtl().AsDuration() != 30*time.Second || resp.GetUnreachable() {
				t.Fatalf("%v, %v", resp, err)
			}
		}
		w.is("pay/1 STARTING")
	})
}

// An expired lease can be renewed as long as the name is known. Afterwards its process is
// told to register again.
func TestLeaseEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		l := w.registered(brief("pay/1", 30*time.Second))[0]
		time.Sleep(31 * time.Second)
		w.is("pay/1 NOT_SERVING")
		if h := w.check("pay/1"); h.GetCause() != pb.Cause_CAUSE_LEASE_EXPIRED {
			t.Errorf("cause %v", h.GetCause())
		}
		if err := w.send(renewal(l)); err != nil {
			t.Errorf("too late within the time to come back: %v", err)
		}
		time.Sleep(31*time.Second + health.DefaultDeregisterAfter)
		synctest.Wait()
		if h := w.check("pay/1"); h != nil {
			t.Errorf("it is still there: %v", h)
		}
		err := w.send(renewal(l))
		wantCode(t, err, codes.NotFound, wire.ReasonLeaseUnknown)
		wantText(t, err, "pay/1", "register again")
		if again := w.registered(brief("pay/1", 30*time.Second))[0]; again.GetLeaseId() == l.GetLeaseId() {
			t.Error("the lease that had ended came back")
		}
		w.is("pay/1 STARTING")
	})
}

func TestSupersededLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		old := w.lease("pay/1")
		r := instance("pay/1")
		r.Incarnation = "i-2"
		now := w.registered(r)[0]
		in := w.watch(&pb.WatchRequest{})
		in.wants("pay/1 STARTING")
		for _, req := range []any{renewal(old), farewell(old), pushed(old, pb.Status_STATUS_SERVING)} {
			err := w.send(req)
			wantCode(t, err, codes.FailedPrecondition, wire.ReasonSuperseded)
			wantText(t, err, "pay/1", "superseded by another process")
		}
		in.wants() // the new process is not affected
		if err := w.send(renewal(now)); err != nil {
			t.Errorf("the new owner: %v", err)
		}
	})
}

func TestDeregisterEndsALease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		l := w.lease("pay/1")
		in := w.watch(&pb.WatchRequest{})
		in.entries()
		without := farewell(l)
		without.LeaseId = ""
		wantCode(t, w.send(without), codes.FailedPrecondition, wire.ReasonLeased)
		in.wants()
		if err := w.send(farewell(l)); err != nil {
			t.Fatal(err)
		}
		in.wants("pay/1 SERVICE_UNKNOWN removed")
		wantCode(t, w.send(renewal(l)), codes.NotFound, wire.ReasonLeaseUnknown)
		wantCode(t, w.send(pushed(l, pb.Status_STATUS_SERVING)), codes.NotFound, wire.ReasonLeaseUnknown)
		wantCode(t, w.send(farewell(l)), codes.NotFound, wire.ReasonNotFound)
	})
}

func TestStaticRegistrationHasNoLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		l := w.registered(fixture("pay/1"))[0]
		if l.GetTtl() != nil {
			t.Errorf("a TTL: %v", l)
		}
		time.Sleep(time.Hour)
		w.is("pay/1 STARTING")
		wantCode(t, w.send(renewal(l)), codes.NotFound, wire.ReasonLeaseUnknown)
		if err := w.send(&pb.DeregisterRequest{Service: "pay", Instance: "1"}); err != nil {
			t.Error(err)
		}
		if h := w.check("pay/1"); h != nil {
			t.Errorf("it is still there: %v", h)
		}
	})
}

// A lease is still valid after a restart of the coordinator.
func TestLeaseSurvivesARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := store.NewMemory(0)
		w := newWorld(t, func(s *setup) { s.store = kept })
		l := w.lease("pay/1")
		w.end()
		w = newWorld(t, func(s *setup) { s.store, s.epoch = kept, 78 })
		if err := w.send(renewal(l)); err != nil {
			t.Error(err)
		}
		if again := w.lease("pay/1"); again.GetLeaseId() != l.GetLeaseId() {
			t.Errorf("%v, then %v", l, again)
		}
	})
}

// Of many processes that register one name, one holds it at the end, and the others receive
// an error.
func TestOneOfManyGetsTheName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		leases := make([]*pb.Lease, 20)
		var wg sync.WaitGroup
		for i := range leases {
			wg.Go(func() {
				r := instance("pay/1")
				r.Incarnation = fmt.Sprint("i-", i)
				resp, err := w.leases.Register(t.Context(), &pb.RegisterRequest{Registrations: []*pb.Registration{r}})
				if err != nil {
					t.Error(err)
					return
				}
				leases[i] = resp.GetLeases()[0]
			})
		}
		wg.Wait()
		owners := 0
		for _, l := range leases {
			if err := w.send(renewal(l)); err == nil {
				owners++
			} else {
				wantCode(t, err, codes.FailedPrecondition, wire.ReasonSuperseded)
			}
		}
		if owners != 1 {
			t.Errorf("%d of them own the name", owners)
		}
	})
}
