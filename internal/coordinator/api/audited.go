package api

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os/user"
	"strings"

	"google.golang.org/grpc/peer"

	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/audit"
	"github.com/meshhealth/meshhealth/internal/domain"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// Auditor keeps the audit log. It is safe for concurrent use.
type Auditor interface {
	// Append returns when a line about an accepted write is durable.
	Append(ctx context.Context, r audit.Record) error
	// Note writes a line about a refusal if there are not too many. It never waits.
	Note(r audit.Record)
}

// noAudit is the Auditor of a coordinator that keeps nothing on disk.
type noAudit struct{}

func (noAudit) Append(context.Context, audit.Record) error { return nil }

func (noAudit) Note(audit.Record) {}

// audited writes a line about a write that a rule allows, and then calls effect. If the line cannot be
// written, effect is not called. If effect fails, another line with the same request says so.
func (c *Config) audited(ctx context.Context, verb access.Verb, name access.Name, rule, detail string, effect func() error) error {
	r := recordOf(ctx, c.Access.Rights(ctx), verb.String(), name)
	r.Kind, r.Rule, r.Outcome, r.Detail, r.Request = audit.Write, rule, audit.Accepted, detail, newRequest()
	if err := c.Audit.Append(ctx, r); err != nil {
		return fmt.Errorf("%w: the audit log: %w", domain.ErrStore, err)
	}
	err := effect()
	if err != nil {
		r.Outcome, r.Detail = audit.Failed, err.Error()
		// The answer does not depend on this line: the caller learns that there was no effect.
		_ = c.Audit.Append(context.WithoutCancel(ctx), r)
	}
	return err
}

// refuse notes the refusal of a caller, and returns its error. It returns nil if err is nil.
func (c *Config) refuse(ctx context.Context, rights *access.Rights, verb string, name access.Name, err error) error {
	if err != nil {
		r := recordOf(ctx, rights, verb, name)
		r.Outcome = audit.Denied
		c.Audit.Note(r)
	}
	return err
}

// noteDenied notes the refusal of a caller if err is one by the registry, which knows who has registered an instance. It
// returns err.
func (c *Config) noteDenied(ctx context.Context, rights *access.Rights, verb access.Verb, name access.Name, err error) error {
	if errors.Is(err, domain.ErrNotAllowed) {
		return c.refuse(ctx, rights, verb.String(), name, err)
	}
	return err
}

// recordOf returns a record about a call of a caller with these rights.
func recordOf(ctx context.Context, rights *access.Rights, verb string, name access.Name) audit.Record {
	r := audit.Record{Identity: rights.Identity(), Source: sourceOf(rights.Identity()), Verb: verb, Object: name.String()}
	if p, ok := peer.FromContext(ctx); ok && p.Addr != nil {
		r.Peer = p.Addr.String()
	}
	return r
}

// sourceOf says how a caller has proved its identity.
func sourceOf(identity string) audit.Source {
	kind, _, _ := strings.Cut(identity, ":")
	switch kind {
	case "":
		return audit.Anonymous
	case "token", "ext":
		return audit.Token
	case "unix":
		return audit.Socket
	}
	return audit.Certificate
}

// newRequest returns a random ID of a request.
func newRequest() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// authorOf returns who calls, for the history: the identity, with the name of a user of this machine. For a
// caller without an identity it is the address.
func authorOf(ctx context.Context, rights *access.Rights) string {
	if who := rights.Identity(); who != "" {
		if uid, is := access.UnixUserOf(who); is {
			if u, err := user.LookupId(uid); err == nil {
				return wire.CleanTo(who+" ("+u.Username+")", wire.MaxAuthor)
			}
		}
		return wire.CleanTo(who, wire.MaxAuthor)
	}
	if at := callerAddr(ctx); at.IsValid() {
		return "somebody at " + at.String()
	}
	return "somebody"
}
