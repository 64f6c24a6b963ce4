package main

import (
	"fmt"
	"strconv"
	"time"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
)

// printChecks prints the checks of each instance that the command line names.
func (s *statusPrinter) printChecks() error {
	for _, h := range s.f.asked {
		if h.GetInstance() == "" || len(h.GetChecks()) == 0 {
			continue
		}
		fmt.Fprintf(s.stdout, "\nchecks of %s\n", cleanLines(nameOf(h)))
		t := table{head: []string{"STATUS", "CHECK", "RAN", "TOOK", "VALUE", "CAUSE", "WHY"}}
		for _, c := range h.GetChecks() {
			t.add(s.pen.status(c.GetStatus()), cell{text: c.GetName()}, cell{text: lastRunOf(c)}, cell{text: tookOf(c)},
				cell{text: valueOf(c)}, cell{text: causeOf(c.GetCause())}, cell{text: c.GetReason()})
		}
		if err := t.print(s.stdout, s.pen, s.columns); err != nil {
			return err
		}
	}
	return nil
}

func lastRunOf(c *pb.CheckHealth) string {
	if c.GetLastRunAge() == nil {
		return ""
	}
	return age(c.GetLastRunAge().AsDuration()) + " ago"
}

func tookOf(c *pb.CheckHealth) string {
	if c.GetResponseTime() == nil {
		return ""
	}
	d := c.GetResponseTime().AsDuration()
	unit := time.Microsecond
	if d > 10*time.Millisecond {
		unit = 100 * time.Microsecond
	}
	return d.Round(unit).String()
}

func valueOf(c *pb.CheckHealth) string {
	if c.ObservedValue == nil {
		return ""
	}
	text := strconv.FormatFloat(c.GetObservedValue(), 'g', 6, 64)
	if c.GetObservedUnit() != "" {
		text += " " + c.GetObservedUnit()
	}
	return text
}
