package registry

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/coordinator/core"
)

// TestHistoryIsGathered: transitions are written together, or with the next command.
// Ten commands in turn are ten commits.
func TestHistoryIsGathered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		r := run(t, Config{Store: d, Policy: health.MeshPolicy{FlapHalfLife: -1}})
		before := d.written()
		var lease uint64
		for i := range 10 {
			lease = r.register(leased(fmt.Sprintf("pay/%d", i), "i")).Lease
			synctest.Wait()
		}
		if n := d.written() - before; n != 10 {
			t.Errorf("%d commits for 10 registrations", n)
		}
		for i := range 10 {
			r.says("pay/9", lease, []health.Status{health.NotServing, health.Serving}[i%2])
		}
		time.Sleep(core.Gather)
		synctest.Wait()
		if n := d.written() - before; n != 11 {
			t.Errorf("%d commits for 10 registrations and 10 flips at once", n)
		}
		if waiting, lost := r.Queue(); waiting+int(lost) != 0 {
			t.Errorf("%d transitions wait, %d are lost", waiting, lost)
		}
	})
}

// TestHistoryReadersDoNotCrowd: a reader of the history gets what is stored, after a
// time, while the store hangs. Readers leave places to other commands.
func TestHistoryReadersDoNotCrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		r := run(t, Config{Store: d})
		r.register(leased("pay/a", "i"))
		unblock := d.block()
		var waits []func() error
		began := time.Now()
		for range 2 * core.MaxCommands {
			waits = append(waits, later(func() error { _, err := r.Transitions(t.Context(), store.Query{Limit: 1}); return err }))
		}
		for _, wait := range waits {
			if err := wait(); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took > catchUp {
			t.Errorf("it took %v", took)
		}
		wait := later(func() error { return r.tryRegister(leased("pay/b", "i")) })
		synctest.Wait()
		unblock()
		if err := wait(); err != nil {
			t.Error(err)
		}
	})
}
