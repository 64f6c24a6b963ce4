package server_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server"
)

// TestLayeredDependsOn: each layer has two checks that depend on both checks of the layer
// below. The number of paths doubles with each layer, but the work must not.
func TestLayeredDependsOn(t *testing.T) {
	const layers = 200
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, server.Config{})
		bottom := &probe{}
		var checks []server.Check
		for layer := range layers {
			for _, side := range []string{"a", "b"} {
				c := server.Check{Name: fmt.Sprintf("%s%03d", side, layer), Run: pass}
				if layer == 0 {
					c.Run = bottom.run
				} else {
					c.DependsOn = []string{fmt.Sprintf("a%03d", layer-1), fmt.Sprintf("b%03d", layer-1)}
				}
				checks = append(checks, c)
			}
		}
		slices.Reverse(checks) // a check may come before its dependencies
		add(t, s, checks...)
		start(t, s)
		wantStatus(t, s, health.Serving)
		bottom.set(errDown)
		time.Sleep(time.Minute)
		synctest.Wait()
		top := shown(t, s, fmt.Sprintf("a%03d", layers-1))
		if top.Cause != health.CauseBlocked || top.Reason != "blocked by a000" {
			t.Errorf("the top is %v %q", top.Cause, top.Reason)
		}
		bottom.set(nil)
		time.Sleep(time.Minute)
		wantStatus(t, s, health.Serving)
	})
}
