package wire

import (
	"maps"
	"slices"
	"time"

	"github.com/meshhealth/meshhealth/internal/mesh"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

// ReportFromHealth converts a status that an instance has sent on Watch or Check. It returns false
// if the number of the status is unknown. Texts and lists that are too long are cut. now is the
// time at which the message was received.
func ReportFromHealth(h *pb.Health, now time.Time) (mesh.Report, bool) {
	status, ok := health.StatusFromWire(int32(h.GetStatus()))
	if !ok {
		return mesh.Report{}, false
	}
	r := mesh.Report{
		Source: health.SourceMeshhealth, Status: status, Cause: health.CauseFromWire(int32(h.GetCause())),
		Reason: Clean(h.GetReason()), Checks: checksFrom(h.GetChecks(), now), Metrics: MetricsFrom(h.GetMetrics()),
	}
	if first := h.GetFirstFailure(); first.IsValid() {
		// The clocks of the sender and the receiver may differ. So the age of the failure
		// is computed only from times of the sender's clock.
		r.FirstFailure = now.Add(-max(0, h.GetAt().AsTime().Sub(first.AsTime())))
	}
	return r, true
}

// ReportFromPush converts one message of a Report stream. It returns false if the status is UNKNOWN
// or has an unknown number. Texts and lists that are too long are cut. now is the time at which the
// message was received.
func ReportFromPush(m *pb.ReportRequest, now time.Time) (mesh.Report, bool) {
	status, ok := health.StatusFromWire(int32(m.GetStatus()))
	if !ok || status == health.Unknown {
		return mesh.Report{}, false
	}
	return mesh.Report{
		Source: health.SourcePush, Status: status, Cause: health.CauseFromWire(int32(m.GetCause())),
		Reason: Clean(m.GetReason()), Checks: checksFrom(m.GetChecks(), now), Metrics: MetricsFrom(m.GetMetrics()),
	}, true
}

// Push returns the message of a Report stream that pushes the published state h.
func Push(h *pb.Health) *pb.ReportRequest {
	return &pb.ReportRequest{
		Status: h.GetStatus(), Cause: h.GetCause(), Reason: h.GetReason(),
		Checks: h.GetChecks(), Metrics: h.GetMetrics(),
	}
}

func checksFrom(list []*pb.CheckHealth, now time.Time) []health.CheckState {
	if len(list) == 0 {
		return nil
	}
	list = list[:min(len(list), MaxChecks)]
	out := make([]health.CheckState, len(list))
	for i, c := range list {
		out[i] = checkFrom(c, now)
	}
	return out
}

func checkFrom(c *pb.CheckHealth, now time.Time) health.CheckState {
	status, _ := health.StatusFromWire(int32(c.GetStatus()))
	s := health.CheckState{
		Name: CleanTo(c.GetName(), MaxName), Status: status, Cause: health.CauseFromWire(int32(c.GetCause())),
		Reason: Clean(c.GetReason()), ResponseTime: c.GetResponseTime().AsDuration(),
		Passes: int(c.GetPasses()), Fails: int(c.GetFails()), Runs: c.GetRuns(), Failures: c.GetFailures(),
		HasValue: c.ObservedValue != nil, Value: c.GetObservedValue(), Unit: CleanTo(c.GetObservedUnit(), MaxUnit),
	}
	if c.GetLastRunAge() != nil {
		s.LastRun = now.Add(-max(0, c.GetLastRunAge().AsDuration()))
	}
	return s
}

// MetricsFrom returns the metrics that a message describes, within the limits of a report. It returns
// nil for nil.
func MetricsFrom(m *pb.Metrics) *health.Metrics {
	if m == nil {
		return nil
	}
	return &health.Metrics{
		Runs: m.GetRuns(), Failures: m.GetFailures(), Gauges: gaugesFrom(m.GetGauges()),
		ResponseTimeP50: m.GetResponseTimeP50().AsDuration(), ResponseTimeP99: m.GetResponseTimeP99().AsDuration(),
	}
}

// gaugesFrom returns the first MaxGauges gauges, ordered by name. Because of this order, all
// reports of an instance have the same gauges.
func gaugesFrom(all map[string]float64) map[string]float64 {
	gauges := make(map[string]float64, min(len(all), MaxGauges))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if len(gauges) < MaxGauges && len(name) <= MaxName {
			gauges[CleanTo(name, MaxName)] = all[name]
		}
	}
	return gauges
}
