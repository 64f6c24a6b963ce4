package plan

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// imported asks for the registration of a Pod.
func imported(o fields) {
	at(o, "metadata", "labels").(fields)[Follow] = FollowImport
	annotations := at(o, "metadata", "annotations").(fields)
	annotations[Service], annotations[Port] = "hello", "9000"
}

// actions performs what the planner wants, as a coordinator without faults, and returns it.
func (w *world) actions() []string {
	w.t.Helper()
	actions, _ := w.p.NextActions(w.now)
	var texts []string
	var results []ActionResult
	for _, a := range actions {
		text := a.ID.Instance
		if a.Remove != nil {
			text += " remove " + a.Remove.UID
			w.p.Mesh(Update{Removed: []health.ID{a.ID}})
		}
		if r := a.Register; r != nil {
			text += " register " + r.GetAddress()
			i := &Instance{ID: a.ID, UID: r.GetLabels()[LabelUID], Spec: &health.Spec{
				Address: r.GetAddress(), Labels: r.GetLabels(), Static: true, Source: r.GetSource(),
			}}
			w.change(i)
		}
		if a.Conflict {
			text += " conflict"
		}
		texts = append(texts, text)
		results = append(results, ActionResult{Action: a})
	}
	if len(actions) > 0 {
		w.p.ActionsDone(results, w.now)
	}
	return texts
}

func (w *world) acted(want ...string) {
	w.t.Helper()
	if got := w.actions(); fmt.Sprint(got) != fmt.Sprint(want) {
		w.t.Errorf("did %q; want %q", got, want)
	}
}

func TestImport(t *testing.T) {
	w := newWorld(t)
	key := w.pod(1, 0, imported)
	w.acted() // neither the Pods nor the instances are known yet
	w.p.Replace(Pod, []*Object{w.object(key)}, w.version)
	w.acted()
	w.snapshot()
	w.acted("default:hello-1 register 10.0.0.1:9000")
	w.acted()
	// A new Pod with the name of the earlier one is a new instance.
	w.delete(key)
	w.pod(1, 1, imported)
	w.acted("default:hello-1 remove uid-1-0 register 10.0.0.1:9000")
	w.acted()
	// A coordinator that has lost everything.
	w.now = w.now.Add(time.Minute)
	w.snapshot()
	w.acted("default:hello-1 register 10.0.0.1:9000")
	w.delete(key)
	w.acted("default:hello-1 remove uid-1-1")
	w.acted()
}

// At the start, the writer removes what it had registered, and leaves others' instances alone.
func TestImportReconciles(t *testing.T) {
	w := newWorld(t)
	w.p.Replace(Pod, nil, 1)
	ours, theirs := instance(1, 0, health.RouteHealthy), instance(2, 0, health.RouteHealthy)
	ours.Spec.Static, ours.Spec.Source = true, "kube-test"
	theirs.Spec.Static, theirs.Spec.Source = true, "kube-other"
	w.snapshot(ours, theirs)
	w.acted("i1 remove uid-1-0")
	w.acted()
}

func TestImportConflict(t *testing.T) {
	w := newWorld(t)
	w.p.Replace(Pod, nil, 0)
	w.pod(1, 0, imported)
	theirs := instance(1, 0, health.RouteHealthy)
	theirs.ID.Instance = "default:hello-1"
	w.snapshot(theirs)
	w.acted("default:hello-1 conflict")
	w.change(theirs)
	w.acted()
	w.now = w.now.Add(retryRefused)
	w.p.Mesh(Update{Removed: []health.ID{theirs.ID}})
	w.acted("default:hello-1 register 10.0.0.1:9000")
}

func TestImportRetries(t *testing.T) {
	for _, c := range []struct {
		refused bool
		pause   time.Duration
	}{{false, retryFailed}, {true, retryRefused}} {
		w := newWorld(t)
		w.p.Replace(Pod, nil, 0)
		w.pod(1, 0, imported)
		w.snapshot()
		actions, _ := w.p.NextActions(w.now)
		if more, _ := w.p.NextActions(w.now); len(actions) != 1 || len(more) != 0 {
			t.Fatalf("%d actions, and %d before their end", len(actions), len(more))
		}
		w.p.ActionsDone([]ActionResult{{Action: actions[0], Err: errors.New("no"), Refused: c.refused}}, w.now)
		w.acted()
		_, wake := w.p.NextActions(w.now)
		if !wake.Equal(w.now.Add(c.pause)) {
			t.Errorf("refused %t: the next attempt is in %v; want %v", c.refused, wake.Sub(w.now), c.pause)
		}
		w.now = wake
		w.acted("default:hello-1 register 10.0.0.1:9000")
	}
}

func TestPodOf(t *testing.T) {
	set := func(name, value string) func(fields) {
		return func(o fields) { at(o, "metadata", "annotations").(fields)[name] = value }
	}
	for _, c := range []struct {
		change []func(fields)
		want   string // the registration, or the fault
	}{
		{[]func(fields){imported}, "hello/default:hello-1 10.0.0.1:9000"},
		{[]func(fields){imported, set(TrafficPort, "8080"), set(HealthName, "ready")}, "hello/default:hello-1 10.0.0.1:9000 traffic :8080 as ready"},
		{[]func(fields){imported, func(o fields) { o["status"].(fields)["phase"] = "Failed" }}, ""},
		{[]func(fields){imported, func(o fields) { delete(o["status"].(fields), "podIP") }}, ""},
		{[]func(fields){imported, set(Port, "0")}, `annotation meshhealth.dev/port: is "0"; allowed: 1 to 65535`},
		{[]func(fields){imported, set(TrafficPort, "x")}, `annotation meshhealth.dev/traffic-port: is "x"; allowed: 1 to 65535`},
		{[]func(fields){imported, set(Service, "")}, "annotation meshhealth.dev/service: is missing"},
		{[]func(fields){imported, set(Service, "a b")}, "registration: "},
		{[]func(fields){func(o fields) { at(o, "metadata", "labels").(fields)[Follow] = "yes" }}, `label meshhealth.dev/follow: is "yes"; allowed: true, import`},
		{nil, ""},
	} {
		w := newWorld(t)
		o := w.object(w.pod(1, 0, c.change...))
		got := o.Fault
		if r := o.Register; r != nil {
			got = r.GetService() + "/" + r.GetInstance() + " " + r.GetAddress()
			if r.GetTraffic() != nil {
				got += " traffic " + r.GetTraffic().GetAddress()
			}
			if r.GetHealthName() != "" {
				got += " as " + r.GetHealthName()
			}
		}
		if c.want == "" && got != "" || !strings.HasPrefix(got, c.want) {
			t.Errorf("%q; want %q", got, c.want)
		}
	}
}
