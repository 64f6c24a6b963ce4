package registry

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/coordinator/core"
	"github.com/meshhealth/meshhealth/internal/domain"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// fat returns the most registrations that one call may have, each with the most
// labels.
func fat(call int) (regs []wire.Registration) {
	for i := range wire.MaxRegistrations {
		reg := leased(fmt.Sprintf("pay/%d-%d", call, i), "i")
		reg.Spec.Labels = map[string]string{}
		value := strings.Repeat("x", 80) + fmt.Sprint(call, i)
		for _, key := range fatKeys {
			reg.Spec.Labels[strings.Clone(key)] = strings.Clone(value) // as many bytes as if all differed
		}
		regs = append(regs, reg)
	}
	return regs
}

// fatKeys are the keys of the labels of fat.
var fatKeys = func() (keys [wire.MaxLabels]string) {
	for l := range keys {
		keys[l] = fmt.Sprintf("%060d", l)
	}
	return keys
}()

// The commands that wait for a hanging store are bounded in bytes. The error names
// the limit. There is room again when the store goes on.
func TestCommandsAreBoundedInBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		r := run(t, Config{Store: d, MaxInstances: 1_000_000})
		unblock := d.block()
		calls := []func() error{later(func() error { return r.tryRegister(leased("pay/a", "i")) })}
		synctest.Wait() // the first call is being committed
		before, refused := heapInUse(), 0
		for i := range 60 {
			regs := fat(i)
			done := make(chan error, 1)
			go func() { done <- r.tryRegister(regs...) }()
			synctest.Wait()
			select {
			case err := <-done:
				refused++
				wantError(t, err, domain.ErrLimit)
				if !strings.Contains(err.Error(), "allowed: 64 MiB") {
					t.Error(err)
				}
			default:
				calls = append(calls, func() error { return <-done })
			}
		}
		if kept := heapInUse() - before; kept > 2*core.MaxCommandBytes || refused == 0 {
			t.Errorf("%d calls were refused; what waits keeps %d MiB", refused, kept>>20)
		}
		if r.tryRegister(fat(77)...) == nil {
			t.Error("there is room")
		}
		unblock()
		for _, wait := range calls {
			succeeds(t, []error{wait()})
		}
		if err := r.tryRegister(fat(78)...); err != nil {
			t.Errorf("there is no room afterwards: %v", err)
		}
		if _, err := r.Deregister(t.Context(), health.ParseID("pay/a"), 0, true, wire.Registrant{}); err != nil {
			t.Error(err)
		}
	})
}

func heapInUse() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
