package main

import (
	"fmt"

	"github.com/spf13/cobra"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/selector"
)

// where has the value of the flag --where, which chooses entries. The zero value matches every
// entry.
type where struct {
	text     string
	selector selector.Selector
}

// addTo adds the flag --where to cmd.
func (w *where) addTo(cmd *cobra.Command) {
	cmd.Flags().StringVar(&w.text, "where", "", "only entries that match `CONDITIONS`, such as zone=eu-1,!status=SERVING")
}

// parse checks the flag. waits is true if the flag --wait is given too.
func (w *where) parse(cmd *cobra.Command, waits bool) error {
	if !cmd.Flags().Changed("where") {
		return nil
	}
	if waits {
		return usage(cmd, "--where is given beside --wait; allowed: one of them")
	}
	parsed, err := selector.Parse(w.text)
	if err != nil {
		return usage(cmd, "--where: %w", err)
	}
	w.selector = parsed
	return nil
}

// given reports whether the flag has a condition.
func (w *where) given() bool { return !w.selector.Empty() }

func (w *where) matches(h *pb.Health) bool {
	if !w.given() {
		return true
	}
	e := selectable(h)
	return w.selector.Matches(&e)
}

// request returns the conditions that the coordinator can apply itself. The others are applied to
// what it sends.
func (w *where) request() *pb.Selector {
	s := &pb.Selector{}
	if service := w.selector.Service(); service != "" {
		s.Services = []string{service}
	}
	for _, status := range w.selector.Statuses() {
		s.Statuses = append(s.Statuses, pb.Status(status.Wire()))
	}
	return s
}

// nothing returns an error about conditions that no entry matches.
func (w *where) nothing() error {
	return hinted("`meshhealth status --all` lists all names, `meshhealth status NAME -o json` prints their labels.",
		"%s", fmt.Sprintf("no registered name matches --where %q", w.text))
}

// selectable returns the properties of an entry that conditions look at.
func selectable(h *pb.Health) selector.Entry {
	status, _ := health.StatusFromWire(int32(h.GetStatus()))
	return selector.Entry{
		ID: health.ID{Service: h.GetService(), Instance: h.GetInstance()}, Zone: h.GetZone(), Version: h.GetVersion(),
		Status: status, Cause: health.CauseFromWire(int32(h.GetCause())), Root: h.GetRoot(),
		Unconfirmed: h.GetUnconfirmed(), Labels: h.GetLabels(),
	}
}
