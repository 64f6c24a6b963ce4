package coordinator

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/meshhealth/meshhealth/internal/audit"
)

const (
	// auditEvery is the interval at which the state of the audit log is looked at.
	auditEvery = time.Second
	// slowAudit is the time after which a write of the audit log that goes on is a trouble.
	slowAudit = 2 * time.Second
)

// The reasons of troubles. They have no text of a file, because everybody who reads reasons sees them.
const (
	accessTrouble  = "access_policy: the file cannot be used, so the previous policy stays in use; the log has the faults"
	auditFailing   = "the audit log cannot be written, so overrides are refused; the log has the error"
	auditDamaged   = "the audit log is damaged; run meshhealth audit verify"
	auditHangs     = "the disk of the audit log does not answer"
	troublesJoined = "; "
)

// troubles are the reasons outside the store for which the coordinator itself is DEGRADED.
type troubles struct {
	access, audit atomic.Pointer[string] // nil if there is none
	told          atomic.Pointer[string] // what the registry was told last; nil: nothing
}

// text returns all reasons in one text. It is empty if there are none.
func (t *troubles) text() string {
	var all []string
	for _, one := range []*string{t.access.Load(), t.audit.Load()} {
		if one != nil && *one != "" {
			all = append(all, *one)
		}
	}
	return strings.Join(all, troublesJoined)
}

// tellTroubles tells the registry about the troubles if they have changed. If two calls overlap, the next look at the
// audit log corrects what is left.
func (c *Coordinator) tellTroubles(ctx context.Context) error {
	text := c.troubles.text()
	if told := c.troubles.told.Swap(&text); told != nil && *told == text || told == nil && text == "" {
		return nil
	}
	return c.registry.SetTrouble(ctx, text)
}

// NoteAccessFile says whether the policy in the file of Config.Access can be used. If it cannot, the call counts
// as a failed read, and the coordinator is DEGRADED until a call with true. The policy in use does not change.
// NoteAccessFile returns when the state is published. It may be called only while Run runs.
func (c *Coordinator) NoteAccessFile(ctx context.Context, usable bool) error {
	reason := ""
	if !usable {
		c.stats.accessFaults.Add(1)
		reason = accessTrouble
	}
	c.troubles.access.Store(&reason)
	return c.tellTroubles(ctx)
}

// watchAudit looks at the audit log until ctx ends. While the log fails, the coordinator is DEGRADED.
func (c *Coordinator) watchAudit(ctx context.Context) error {
	ticker := time.NewTicker(auditEvery)
	defer ticker.Stop()
	for {
		reason := auditReason(c.audit.Stats(), time.Now())
		c.troubles.audit.Store(&reason)
		if err := c.tellTroubles(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// auditReason returns the trouble of an audit log, or "".
func auditReason(s audit.Stats, now time.Time) string {
	switch {
	case s.Failing != nil:
		return auditFailing
	case len(s.Damage) > 0:
		return auditDamaged
	case !s.Began.IsZero() && now.Sub(s.Began) > slowAudit:
		return auditHangs
	}
	return ""
}

// auditPolicy writes a line about a new access policy, after which no message is sent on streams that it has ended. The
// policy is in use also if the line cannot be written.
func (c *Coordinator) auditPolicy(rules, ended int) {
	if c.audit == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), slowAudit)
	defer cancel()
	err := c.audit.Append(ctx, audit.Record{
		Kind: audit.Policy, Source: audit.Coordinator, Verb: "use", Object: "access policy", Outcome: audit.Done,
		Detail: fmt.Sprintf("%d rules; %d streams ended", rules, ended),
	})
	if err != nil {
		c.cfg.Logger.Error("the audit log has no line about the new access policy", "error", err)
	}
}
