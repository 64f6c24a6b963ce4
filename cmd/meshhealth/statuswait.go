package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// parseWait returns the statuses in text, the value of the flag --wait. It returns nil if the flag
// was not given.
func parseWait(cmd *cobra.Command, text string) (wanted []health.Status, err error) {
	if !cmd.Flags().Changed("wait") {
		return nil, nil
	}
	for word := range strings.SplitSeq(text, ",") {
		status, known := health.ParseStatus(strings.ToUpper(strings.TrimSpace(word)))
		if !known {
			return nil, usage(cmd, "--wait: is %q; allowed: %s, or several with commas between",
				wire.Clean(word), strings.Join(statusNames(health.Statuses()), ", "))
		}
		wanted = append(wanted, status)
	}
	return wanted, nil
}

func statusNames(statuses []health.Status) (names []string) {
	for _, s := range statuses {
		names = append(names, s.String())
	}
	return names
}

// statusWait waits until each name in names has one of the statuses in wanted.
type statusWait struct {
	names  []string
	wanted []health.Status
	// known has the latest entry of each name. During an outage an entry may be out of date.
	known map[string]*client.Entry
	// outage says why the coordinator cannot be reached. It is nil if the coordinator can be
	// reached.
	outage error
}

// waitForStatus waits until each name has one of the wanted statuses, and then prints the entries.
// Without names it waits for the status of the mesh.
func (a *app) waitForStatus(cmd *cobra.Command, t *target, out *output, names []string, wanted []health.Status) error {
	if err := t.complete(cmd, a.getenv); err != nil {
		return err
	}
	if len(names) == 0 {
		names = []string{health.MeshName}
	}
	c, closeClient, err := t.watcher()
	if err != nil {
		return err
	}
	defer closeClient()
	ctx, cancel := context.WithTimeout(cmd.Context(), t.timeout)
	defer cancel()
	w := &statusWait{names: names, wanted: wanted, known: map[string]*client.Entry{}}
	for u, err := range c.Watch(ctx, client.WatchOptions{Names: names}) {
		switch {
		case cmd.Context().Err() != nil:
			return errors.New("interrupted")
		case ctx.Err() != nil:
			return w.timedOut(t)
		case err != nil:
			return t.callError(err)
		}
		if w.update(&u); w.done() {
			return a.printWaited(out, w)
		}
	}
	return w.timedOut(t)
}

func (w *statusWait) update(u *client.Update) {
	if w.outage = u.Err; u.Gap {
		clear(w.known) // a snapshot replaces all entries
	}
	for _, e := range u.Entries {
		w.known[e.ID.String()] = e
	}
}

// done reports whether each name has one of the wanted statuses and this status is confirmed.
func (w *statusWait) done() bool {
	return w.outage == nil && !slices.ContainsFunc(w.names, func(name string) bool { return !w.isWanted(w.known[name]) })
}

func (w *statusWait) isWanted(e *client.Entry) bool {
	return e != nil && !e.Unregistered && !e.Unconfirmed && !e.Removed && slices.Contains(w.wanted, e.Status)
}

// timedOut returns an error that says for each name why the wait has not ended.
func (w *statusWait) timedOut(t *target) error {
	if w.outage != nil {
		return t.callError(w.outage)
	}
	var errs []error
	wanted := alternatives(statusNames(w.wanted))
	for _, name := range w.names {
		switch e := w.known[name]; {
		case w.isWanted(e):
		case e == nil:
			errs = append(errs, hinted("Is the address right? --timeout allows more time.", "%s: no answer from %s within %v", name, t.address, t.timeout))
		case e.Unregistered || e.Removed:
			errs = append(errs, fmt.Errorf("%s is not registered after %v; waited for %s", name, t.timeout, wanted))
		default:
			is := e.Status.String()
			if e.Unconfirmed {
				is += ", not confirmed"
			}
			errs = append(errs, hinted(fmt.Sprintf("`meshhealth explain %s` says why.", name), "%s is %s after %v; waited for %s", name, is, t.timeout, wanted))
		}
	}
	return errors.Join(errs...)
}

func (a *app) printWaited(out *output, w *statusWait) error {
	f := &findings{}
	for _, name := range w.names {
		h := w.known[name].Proto()
		if f.entries = append(f.entries, h); !out.json() {
			continue
		}
		if err := printJSON(a.stdout, h); err != nil {
			return err
		}
	}
	if out.json() {
		return nil
	}
	return a.printStatus(out, f, true)
}
