package registry

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/domain"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// keyed returns the registration of a process with a key; 0 means none.
func keyed(incarnation string, key byte) wire.Registration {
	reg := leased("pay/a", incarnation)
	if key != 0 {
		reg.Spec.Key, _ = health.KeyFrom(bytes.Repeat([]byte{key}, health.KeyBytes))
		reg.Spec.Proves = true
	}
	return reg
}

// TestKeyAuthorises: incarnations are published, so only the key proves which process
// calls. Each case is tested with and without a restart.
func TestKeyAuthorises(t *testing.T) {
	for what, c := range map[string]struct {
		first, second wire.Registration
		continues     bool
		err           string
	}{
		"same process":               {keyed("i", 1), keyed("i", 1), true, ""},
		"same process without a key": {keyed("i", 0), keyed("i", 0), true, ""},
		"a key where none is stored": {keyed("i", 0), keyed("i", 1), false, ""},
		"another process":            {keyed("i", 1), keyed("j", 2), false, ""},
		"another process, same key":  {keyed("i", 1), keyed("j", 1), false, ""},
		"another without a key":      {keyed("i", 1), keyed("j", 0), false, ""},
		"a stolen incarnation": {keyed("i", 1), keyed("i", 2), false, "registrations[0].key: is another one; " +
			"allowed: the key of pay/a's registration, or a new incarnation: the registration belongs to another process"},
		"a stolen incarnation without a key": {keyed("i", 1), keyed("i", 0), false, "registrations[0].key: is missing; " +
			"allowed: the key of pay/a's registration, or a new incarnation: the registration belongs to another process"},
	} {
		for _, restart := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				d := newDisk()
				r := run(t, Config{Store: d, Epoch: 1})
				first := r.register(c.first)
				if restart {
					r.stop()
					r = run(t, Config{Store: d, Epoch: 2})
				}
				specs, err := r.Register(t.Context(), []wire.Registration{c.second})
				if c.err != "" {
					wantError(t, err, domain.ErrKey)
					if err == nil || err.Error() != c.err {
						t.Errorf("%s: %v, want %q", what, err, c.err)
					}
					if !r.entry("pay/a").Spec.Key.Equal(c.first.Spec.Key) {
						t.Errorf("%s: the key was replaced", what)
					}
					return
				}
				if err != nil {
					t.Fatalf("%s, restart %v: %v", what, restart, err)
				}
				if got := specs[0].Lease == first.Lease; got != c.continues {
					t.Errorf("%s, restart %v: it goes on: %v, want %v", what, restart, got, c.continues)
				}
			})
		}
	}
}

// TestSpecIsRestored: a registration is restored with all its fields.
func TestSpecIsRestored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		r := run(t, Config{Store: d, Epoch: 1})
		reg := keyed("i", 1)
		reg.Spec.Protocol, reg.Spec.Judge = health.ProtocolWatch, &health.ServicePolicy{Critical: true}
		r.register(reg)
		r.stop()
		r = run(t, Config{Store: d, Epoch: 2})
		s := r.entry("pay/a").Spec
		if !s.Key.Equal(reg.Spec.Key) || !s.Proves || s.Protocol != health.ProtocolWatch || s.Judge == nil || !s.Judge.Critical {
			t.Errorf("%+v (judge %+v)", s, s.Judge)
		}
	})
}

// TestRefusalsDoNotRepeatTheKey: an error contains neither the stored key nor the
// other one.
func TestRefusalsDoNotRepeatTheKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, Config{Store: newDisk()})
		r.register(keyed("i", 'K'))
		err := r.tryRegister(keyed("i", 'L'))
		wantError(t, err, domain.ErrKey)
		for _, secret := range []string{"KK", "LL", hex.EncodeToString([]byte("KK"))} {
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("%q has %q in it", err, secret)
			}
		}
	})
}
