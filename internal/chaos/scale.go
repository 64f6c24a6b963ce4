package chaos

import (
	"github.com/meshhealth/meshhealth/health"
)

const (
	scaleFrom = 3
	scaleTo   = 30
)

// scale starts many instances of a service at once, and then lets all of them
// leave. The service may be SERVING, and at the end DRAINING and gone; nothing
// else.
func scale(r *rig, v *Verdict) error {
	if err := r.begin(settings{}); err != nil {
		return err
	}
	h, err := r.host(Group{Kind: kindOurs, Service: "elastic", Targets: scaleFrom, Each: scaleFrom, Leased: true})
	if err != nil {
		return err
	}
	if err := r.settle(h); err != nil {
		return err
	}
	service := health.ID{Service: "elastic-0"}
	r.say("%d instances are SERVING; starting %d more", scaleFrom, scaleTo-scaleFrom)
	if err := h.obey(r.ctx, Order{Do: doGrow, Service: "elastic", Count: scaleTo - scaleFrom}); err != nil {
		return err
	}
	if err := r.main.until(r.ctx, "all of them are SERVING", settled(r.record, nil)); err != nil {
		return err
	}
	r.wants(v, []health.ID{service}, serving)
	r.say("all of them leave")
	if err := h.obey(r.ctx, Order{Do: doShrink}); err != nil {
		return err
	}
	if err := r.main.until(r.ctx, "all of them are gone", settled(r.record, nil)); err != nil {
		return err
	}
	r.wants(v, []health.ID{service}, serving, draining, Gone)
	r.judge(v, scaleTo)
	return nil
}
