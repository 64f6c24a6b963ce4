package main

import (
	"fmt"
	"strings"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
)

// own says how the coordinator itself works.
func (d *doctor) own() {
	if d.state == nil {
		why := notTold
		if isRefusal(d.stateCode) {
			why = "not checked: this caller may not read the state of the coordinator"
		}
		for _, step := range []string{"disk", "guards", "load", "breakers", "config", "xds"} {
			d.skip(step, why)
		}
		return
	}
	d.disk()
	d.guards()
	d.load()
	d.breakers()
	d.config()
	d.xds()
}

func (d *doctor) disk() {
	s := d.state
	begin := len(d.found)
	if s.GetStoreError() != "" {
		d.fail("disk", "store", "Make room on the disk, or repair it. The coordinator recovers by itself.",
			"the store accepts no records: %s", s.GetStoreError())
	}
	if s.GetStoreCommitAge() != nil {
		d.warn("disk", "slow-store", "Move --data-dir to a faster disk, or find what else writes to it.",
			"the present commit has taken %s so far", age(s.GetStoreCommitAge().AsDuration()))
	}
	if n := s.GetStoreLost(); n > 0 {
		d.warn("disk", "lost", "Move --data-dir to a faster disk. The history marks each gap.",
			"%d transitions were not stored since the start", n)
	}
	if len(d.found) == begin {
		d.ok("disk", "the store takes records, %d wait", s.GetStoreQueue())
	}
}

func (d *doctor) guards() {
	for _, g := range d.state.GetGuards() {
		text, level := guardOf(g, d.now), levelWarning
		if g.GetFaded() {
			level = levelFailed
		}
		d.found = append(d.found, diagnosis{
			"guards", level, "guard", text, "Check the network of the coordinator first. Many instances rarely fail at once.",
		})
	}
	if len(d.state.GetGuards()) == 0 {
		d.ok("guards", "none is tripped")
	}
}

// load says whether the coordinator is in time, and what it cannot know yet.
func (d *doctor) load() {
	s := d.state
	begin := len(d.found)
	if n := s.GetScore(); n > 0 {
		d.warn("load", "score", "Give the coordinator more CPU time, and look for throttling of its container.",
			"the coordinator is late itself: score %s", scoreOf(n))
	}
	if c := s.GetPollCoverage(); c < leastOfPolls {
		d.warn("load", "polls", "Let the targets implement Watch, or raise poll_every.",
			"only %.1f %% of the polls are made in time", 100*c)
	}
	if flooding := s.GetFloodingInstances(); len(flooding) > 0 {
		d.warn("load", "flooding", fmt.Sprintf("Let %s send fewer messages; only the latest of each second is used.", flooding[0]),
			"%s more messages than allowed: %s", sends(len(flooding)), someOf(flooding))
	}
	if until := s.GetAmnestyUntil(); until != nil && until.AsTime().After(d.now) && s.GetUnconfirmed() > 0 {
		d.warn("load", "amnesty", fmt.Sprintf("Wait for %s.", age(until.AsTime().Sub(d.now))),
			"the coordinator has just started: the statuses of %s are from before, and unconfirmed", plural(int(s.GetUnconfirmed()), "instance"))
	}
	if len(d.found) == begin {
		d.ok("load", "score 0 of 7, %.0f %% of the polls in time", 100*s.GetPollCoverage())
	}
}

func sends(n int) string {
	if n == 1 {
		return "1 instance sends"
	}
	return fmt.Sprintf("%d instances send", n)
}

func (d *doctor) breakers() {
	if open := d.state.GetOpenTargets(); len(open) > 0 {
		d.warn("breakers", "breakers", "Find out why nothing answers there: meshhealth status --where '!status=SERVING'",
			"%s not dialled now: %s", addressesAre(len(open)), someOf(open))
		return
	}
	d.ok("breakers", "all closed")
}

func addressesAre(n int) string {
	if n == 1 {
		return "1 address is"
	}
	return fmt.Sprintf("%d addresses are", n)
}

func (d *doctor) config() {
	if unknown := d.state.GetUnknownServices(); len(unknown) > 0 {
		d.warn("config", "unknown-services", "Register them, or correct the names below policy.services.",
			"the configuration names what is not registered: %s", someOf(unknown))
		return
	}
	d.ok("config", "names no unknown service")
}

func (d *doctor) xds() {
	s := d.state
	switch {
	case s.GetXdsRejected() > 0:
		d.warn("xds", "xds", "Read what they reject: meshhealth xds status", "%s", rejectedOf(s))
	case s.GetXdsStreams() == 0:
		d.ok("xds", "no client")
	default:
		d.ok("xds", "%s, %s behind, none rejected", plural(int(s.GetXdsStreams()), "stream"), plural(int(s.GetXdsBehind()), "resource"))
	}
}

// rejectedOf says how many responses were rejected, and why the last one was.
func rejectedOf(s *pb.GetCoordinatorResponse) string {
	text := fmt.Sprintf("xDS clients have rejected %s since the start", plural(int(min(s.GetXdsRejected(), 1<<31)), "response"))
	if last := s.GetXdsRejections(); len(last) > 0 {
		text += fmt.Sprintf(", the last by %s: %s", last[0].GetNode(), strings.TrimSpace(last[0].GetReason()))
	}
	return text
}
