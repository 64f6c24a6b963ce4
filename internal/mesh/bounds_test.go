package mesh

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// TestTimesAreBounded checks that all times of a policy have an upper bound. Without it,
// extended deadlines could overflow.
func TestTimesAreBounded(t *testing.T) {
	for policy, most := range map[interface{ Validate() error }]time.Duration{&health.MeshPolicy{}: health.MaxDuration, &health.Policy{}: health.MaxCheckTime} {
		v := reflect.ValueOf(policy).Elem()
		times := 0
		for i := range v.NumField() {
			d, ok := v.Field(i).Interface().(time.Duration)
			if !ok {
				continue
			}
			times++
			for value, sound := range map[time.Duration]bool{most: true, most + 1: false, 80 * 365 * 24 * time.Hour: false, math.MaxInt64: false} {
				v.Field(i).Set(reflect.ValueOf(value))
				err := policy.Validate()
				if name := v.Type().Field(i).Name; (err == nil) != sound || err != nil && !strings.HasPrefix(err.Error(), name+": is ") {
					t.Errorf("%s of %v: %v, want it to be sound: %v", name, value, err, sound)
				}
			}
			v.Field(i).Set(reflect.ValueOf(d))
		}
		if times < 2 {
			t.Errorf("%T has %d times", policy, times)
		}
	}
	for _, p := range []health.MeshPolicy{
		{RecoverAfter: health.MaxRecoverAfter + 1},
		{GuardMin: health.MaxGuardMin + 1},
		{Services: map[string]health.ServicePolicy{"a": {DependsOn: make([]string, health.MaxDependencies+1)}}},
		{Services: map[string]health.ServicePolicy{"a": {SoftDependsOn: make([]string, health.MaxDependencies+1)}}},
	} {
		if err := p.Validate(); err == nil || !strings.Contains(err.Error(), "allowed: at most") {
			t.Errorf("%+v: %v", p, err)
		}
	}
}

// TestForgiveTheLongest checks that no deadline overflows with the longest times and the
// longest lateness.
func TestForgiveTheLongest(t *testing.T) {
	start := time.Now()
	m := New(health.MeshPolicy{UnreachableAfter: health.MaxDuration, StartupGrace: health.MaxDuration, DeregisterAfter: health.MaxDuration, FlapMax: health.MaxDuration, GuardMax: health.MaxDuration, Amnesty: health.MaxDuration}, 1, start)
	id := health.ID{Service: "pay", Instance: "a"}
	m.Apply(nil, start, &Event{Kind: EventRegister, ID: id, Lease: 1, Spec: &health.Spec{Lease: 1, TTL: 10 * time.Minute, RegisteredAt: start}})
	m.Apply(nil, start, &Event{Kind: EventPath, ID: id, Lease: 1})
	for range 10 {
		m.Forgive(math.MaxInt64)
		if at, ok := m.Deadline(); ok && at.Before(start) {
			t.Fatalf("the next deadline is %v before the start", start.Sub(at))
		}
	}
}
