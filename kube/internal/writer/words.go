package writer

import (
	"log/slog"
	"time"

	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/kube/internal/cluster"
	"github.com/meshhealth/meshhealth/kube/internal/plan"
)

// words logs what happens. What lasts is logged once, and once more when it ends.
type words struct {
	log     *slog.Logger
	faults  map[plan.Key]string // faults of objects that were logged
	away    bool                // true if the coordinator is away
	isBlind bool
	blocked [plan.NumKinds]bool // true if objects of the kind cannot be followed
	failing bool                // true if writes fail
	noRight bool
	refused rarely
	imports rarely
}

func (w *words) event(e *cluster.Event) {
	switch blocked := &w.blocked[e.Kind]; {
	case e.Err != nil && !*blocked:
		*blocked = true
		w.log.Warn("objects cannot be followed; check the API server, and the rights to list and watch", "kind", e.Kind.String(), "err", e.Err)
	case e.Listed:
		*blocked = false
		w.log.Info("objects were listed", "kind", e.Kind.String(), "count", len(e.List))
	}
}

func (w *words) fault(o *plan.Object) {
	if w.faults[o.Key] == o.Fault {
		return
	}
	if o.Fault == "" {
		w.forget(o.Key)
		return
	}
	w.faults[o.Key] = o.Fault
	w.log.Warn("an object has a fault; correct it", "object", o.Key.String(), "fault", o.Fault)
}

func (w *words) forget(key plan.Key) { delete(w.faults, key) }

func (w *words) update(u *client.Update) {
	switch {
	case u.Stale && !w.away:
		w.away = true
		w.log.Warn("the coordinator is away; objects keep their conditions until it is back", "err", u.Err)
	case !u.Stale && w.away:
		w.away = false
		w.log.Info("the coordinator is back")
	case u.Gap:
		w.log.Info("the coordinator sends everything again, because changes may be missing")
	}
}

func (w *words) blind(is bool, status string) {
	if is && !w.isBlind {
		w.log.Warn("the coordinator has been away for a minute; new Pods are decided without it", "condition", status)
	}
	w.isBlind = is
}

// rights says once that the coordinator hides addresses.
func (w *words) rights(i *plan.Instance) {
	if !w.noRight && i.Spec.Address == "" {
		w.noRight = true
		w.log.Error("the coordinator hides addresses from this program, so that instances without the label "+
			plan.LabelUID+" cannot be found; give it a client certificate that the coordinator verifies", "instance", i.ID.String())
	}
}

func (w *words) written(r *written) {
	switch r.Outcome {
	case plan.Written:
		if w.failing {
			w.log.Info("the API server accepts writes again")
		}
		w.failing = false
		if r.Write.Value != (plan.Value{}) {
			w.log.Debug("wrote a condition", "object", r.Write.String(), "status", r.Write.Value.Status, "reason", r.Write.Value.Reason)
		}
	case plan.Conflict:
		w.log.Debug("an object was changed by somebody else; it is written again", "object", r.Write.String())
	case plan.Refused:
		w.refused.log(w.log, "the API server refused a write; check the rights of this program", "object", r.Write.String(), "err", r.err)
	case plan.Throttled, plan.Failed:
		if !w.failing {
			w.log.Warn("the API server does not accept writes; the latest state is written when it does", "object", r.Write.String(), "err", r.err)
		}
		w.failing = true
	}
}

func (w *words) acted(results []plan.ActionResult) {
	for _, r := range results {
		switch {
		case r.Action.Conflict:
			w.imports.log(w.log, "a Pod is not registered, because an instance with its name belongs to somebody else; remove one of them", "instance", r.Action.ID.String())
		case r.Err != nil:
			w.imports.log(w.log, "an imported Pod could not be registered or removed; it is tried again", "instance", r.Action.ID.String(), "err", r.Err)
		case r.Action.Register != nil:
			w.log.Info("registered a Pod", "instance", r.Action.ID.String(), "address", r.Action.Register.GetAddress())
		default:
			w.log.Info("removed the registration of a Pod that is gone", "instance", r.Action.ID.String())
		}
	}
}

// rarely logs at most ten records a minute, and says how many it has left out.
type rarely struct {
	since   time.Time
	count   int
	omitted int
}

func (r *rarely) log(log *slog.Logger, message string, args ...any) {
	if now := time.Now(); now.Sub(r.since) >= time.Minute {
		r.since, r.count = now, 0
	}
	if r.count++; r.count > 10 {
		r.omitted++
		return
	}
	if r.omitted > 0 {
		args = append(args, "omitted", r.omitted)
		r.omitted = 0
	}
	log.Warn(message, args...)
}
