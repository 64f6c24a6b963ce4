package demo

import (
	"context"
	"fmt"
	"time"
)

// act is one thing that happens, so long after the one before.
type act struct {
	after  time.Duration
	what   string
	do     func() error
	freeze bool // needs canFreeze
}

// firstAct is when everything should be up.
const firstAct = 2 * time.Second

// pause is between two rounds.
const pause = 6 * time.Second

// acts are one round. They overlap on purpose: trouble seldom comes alone.
func (d *demo) acts() []act {
	const second = time.Second
	database := d.backends[slowService]
	frozen, killed, drained := d.actor(frozenService), d.actor(killedService), d.actor(drainedService)
	return []act{
		{after: 0, what: "the database of payments takes 120 ms (limit 50 ms)", do: database.slow},
		{after: 2 * second, what: "the database of payments refuses connections", do: database.close},
		{after: second, what: "ledger/a is frozen (SIGSTOP): it neither answers nor fails", do: frozen.freeze, freeze: true},
		{after: 3 * second, what: "the database of payments is back", do: database.recover},
		{after: 2 * second, what: "search/a is killed (SIGKILL)", do: killed.kill},
		{after: second, what: "ledger/a goes on (SIGCONT)", do: frozen.thaw, freeze: true},
		{after: 2 * second, what: "search/a is started again", do: killed.restart},
		{after: 2 * second, what: "sessions/a is asked to leave: it drains and deregisters", do: drained.drain},
		{after: 2 * second, what: "sessions/a is started again", do: drained.restart},
	}
}

// tell plays the acts, round after round, until ctx ends.
func (d *demo) tell(ctx context.Context) error {
	if !sleep(ctx, firstAct) {
		return nil
	}
	for {
		for _, a := range d.acts() {
			if !sleep(ctx, a.after) {
				return nil
			}
			if a.freeze && !canFreeze {
				continue
			}
			if err := d.perform(a); err != nil {
				return fmt.Errorf("%s: %w", a.what, err)
			}
		}
		if !sleep(ctx, pause) {
			return nil
		}
	}
}

func (d *demo) perform(a act) error {
	d.say("» %s", a.what)
	d.viewer.shown(a.what)
	return a.do()
}

// sleep reports whether ctx still lasts.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
