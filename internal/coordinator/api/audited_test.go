package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/audit"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// book is an Auditor that keeps all lines. Append fails with err, and calls before.
type book struct {
	mu     sync.Mutex
	lines  []string
	err    error
	before func()
}

func (b *book) Append(_ context.Context, r audit.Record) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.before != nil {
		b.before()
	}
	if b.err == nil {
		b.lines = append(b.lines, lineOf(r))
	}
	return b.err
}

func (b *book) Note(r audit.Record) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r.Kind = audit.Refused
	b.lines = append(b.lines, lineOf(r))
}

func (b *book) take() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	lines := b.lines
	b.lines = nil
	return lines
}

func lineOf(r audit.Record) string {
	text := fmt.Sprintf("%s %s %s %s by %q (%s) rule %q: %s", r.Kind, r.Outcome, r.Verb, r.Object, r.Identity, r.Source, r.Rule, r.Detail)
	if (r.Request != "") != (r.Kind == audit.Write) || !strings.HasPrefix(r.Peer, "192.0.2.1:") {
		text += fmt.Sprintf(" (request %q, peer %q)", r.Request, r.Peer)
	}
	return text
}

// TestAudit: accepted overrides and deregistrations are audited before they take effect, and refusals of writes and
// of evidence are noted. Reads of statuses, registrations and renewals are not.
func TestAudit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{}
		w := newWorld(t, func(s *setup) {
			s.Audit = b
			s.access = &access.Policy{Rules: []access.Rule{
				{Name: "all", Who: []string{"anyone"}, Register: everybody().Rules[0].Register, Read: &access.Read{Services: []string{"pay"}}, Admin: true},
				{Name: "ops", Who: []string{"anyone"}, Override: &access.Override{Services: []string{"pay"}, Longest: 2 * time.Hour}},
			}}
		})
		l := w.lease("pay/1")
		override := func(name string, length time.Duration) error {
			return w.send(&pb.SetOverrideRequest{Name: name, Status: pb.Status_STATUS_DEGRADED, Reason: "new\ndisks", Ttl: durationpb.New(length)})
		}
		for _, c := range []struct {
			what string
			call func() error
			code codes.Code
			want []string
		}{
			{"set", func() error { return override("pay/1", time.Hour) }, codes.OK, []string{`write accepted override pay/1 by "" (anonymous) rule "ops": DEGRADED for 1h0m0s: new disks`}},
			{"too long", func() error { return override("pay/1", 3*time.Hour) }, codes.PermissionDenied, []string{`refused denied override pay/1 by "" (anonymous) rule "": `}},
			{"another name", func() error { return override("db", time.Hour) }, codes.PermissionDenied, []string{`refused denied override db by "" (anonymous) rule "": `}},
			{"no such name", func() error { return override("pay/2", time.Hour) }, codes.NotFound, []string{
				`write accepted override pay/2 by "" (anonymous) rule "ops": DEGRADED for 1h0m0s: new disks`,
				`write failed override pay/2 by "" (anonymous) rule "ops": pay/2: not found: no registered instance matches`,
			}},
			{"clear", func() error { return w.send(&pb.ClearOverrideRequest{Name: "pay/1", Reason: "done"}) }, codes.OK, []string{`write accepted override pay/1 by "" (anonymous) rule "ops": clear: done`}},
			{"evidence", func() error { return w.send(&pb.ExplainRequest{Name: "pay"}) }, codes.PermissionDenied, []string{`refused denied read evidence of pay by "" (anonymous) rule "": `}},
			{"hidden", func() error { return w.send(&pb.ListTransitionsRequest{Name: "db"}) }, codes.NotFound, []string{`refused denied read evidence of db by "" (anonymous) rule "": `}},
			{"status", func() error { _, err := w.mesh.Check(t.Context(), &pb.CheckRequest{Service: "pay"}); return err }, codes.OK, nil},
			{"renew", func() error { return w.send(renewal(l)) }, codes.OK, nil},
			{"deregister", func() error { return w.send(&pb.DeregisterRequest{Service: "pay", Instance: "1", Force: true}) }, codes.OK, []string{
				`write accepted admin pay/1 by "" (anonymous) rule "all": deregister, also if its process renews the lease`,
			}},
		} {
			b.take()
			wantCodeOnly(t, c.what, c.call(), c.code)
			if got := b.take(); !slices.Equal(got, c.want) {
				t.Errorf("%s: %q, want %q", c.what, got, c.want)
			}
		}
	})
}

func wantCodeOnly(t *testing.T, what string, err error, code codes.Code) {
	t.Helper()
	if got := status.Code(err); got != code {
		t.Errorf("%s: %v, want %v", what, err, code)
	}
}

// TestAuditComesFirst: nothing has changed while the line of the audit log is written. If the line cannot be
// written, nothing changes, and the caller may try again.
func TestAuditComesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{}
		w := newWorld(t, func(s *setup) { s.Audit = b })
		w.lease("pay/1")
		b.before = func() {
			if o := w.check("pay/1").GetOverride(); o != nil {
				t.Errorf("the override is there before its line: %v", o)
			}
		}
		b.err = errors.New("no space left")
		err := w.send(good())
		wantCode(t, err, codes.Unavailable, wire.ReasonStore)
		wantText(t, err, "the audit log: no space left")
		if o := w.check("pay/1").GetOverride(); o != nil {
			t.Errorf("the override is there without a line: %v", o)
		}
		b.err = nil
		if err := w.send(good()); err != nil {
			t.Error(err)
		}
		if o := w.check("pay/1").GetOverride(); o.GetAuthor() != somebody {
			t.Errorf("%v", o)
		}
	})
}

// TestOwners: an identity may not take over or remove what another one has registered, and has a quota.
func TestOwners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t)
		own := access.Register{Services: []string{"*"}, Addresses: everybody().Rules[0].Register.Addresses, Instances: 3}
		w := newWorld(t, func(s *setup) {
			s.creds, s.client = a.server(tls.VerifyClientCertIfGiven), a.client(a.named("payments"))
			s.access = &access.Policy{Rules: []access.Rule{
				{Name: "services", Who: []string{"spiffe://mesh.test/*"}, Register: &own},
				{Name: "operators", Who: []string{"spiffe://mesh.test/operator/*"}, Admin: true},
			}}
		})
		register := func(v *visitor, name string, edit func(*pb.Registration)) error {
			r := instance(name)
			if edit != nil {
				edit(r)
			}
			return v.send(&pb.RegisterRequest{Registrations: []*pb.Registration{r}})
		}
		pay, db, ann := w.visitor, w.call(home, a.client(a.named("db"))), w.call(home, a.client(a.named("operator/ann")))
		for _, name := range []string{"pay/1", "pay/2", "pay/3", "pay/3"} {
			if err := register(pay, name, nil); err != nil {
				t.Fatal(name, err)
			}
		}
		wantCode(t, register(pay, "pay/4", nil), codes.ResourceExhausted, wire.ReasonLimit)
		if err := register(db, "db/1", nil); err != nil {
			t.Fatal(err)
		}
		again := func(r *pb.Registration) { r.Incarnation, r.Key = "another", nil }
		wantCode(t, register(db, "pay/1", again), codes.PermissionDenied, wire.ReasonNotAllowed)
		if err := register(pay, "pay/1", again); err != nil {
			t.Errorf("a new process of the same identity: %v", err)
		}
		away := func(v *visitor, name string) error {
			id := must(wire.ParseInstance(name))
			return v.send(&pb.DeregisterRequest{Service: id.Service, Instance: id.Instance, Force: true})
		}
		wantCode(t, away(db, "pay/1"), codes.PermissionDenied, wire.ReasonNotAllowed)
		if err := away(pay, "pay/2"); err != nil {
			t.Error(err)
		}
		if err := register(pay, "pay/4", nil); err != nil {
			t.Errorf("within the quota again: %v", err)
		}
		if err := away(ann, "pay/1"); err != nil {
			t.Errorf("an operator: %v", err)
		}
		if err := register(ann, "pay/3", again); err != nil {
			t.Errorf("an operator takes over: %v", err)
		}
		if err := register(pay, "pay/5", nil); err != nil {
			t.Errorf("what others have taken over does not count: %v", err)
		}
	})
}
