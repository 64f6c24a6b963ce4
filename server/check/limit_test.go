package check_test

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshhealth/meshhealth/internal/machine"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server/check"
)

func reads(value float64) func(context.Context) (float64, error) {
	return func(context.Context) (float64, error) { return value, nil }
}

func TestGauge(t *testing.T) {
	inf := math.Inf(1)
	for _, c := range []struct {
		name  string
		value float64
		limit check.Limit
		want  machine.Evidence
	}{
		{"under", 9, check.AtMost(10, 20), machine.Pass},
		{"at the limit", 10, check.AtMost(10, 20), machine.Pass},
		{"over warn", 10.5, check.AtMost(10, 20), machine.Warn},
		{"at fail", 20, check.AtMost(10, 20), machine.Warn},
		{"over fail", 21, check.AtMost(10, 20), machine.Fail},
		{"never warns", 15, check.AtMost(inf, 20), machine.Pass},
		{"fails without warning", 25, check.AtMost(inf, 20), machine.Fail},
		{"never fails", 1e9, check.AtMost(10, inf), machine.Warn},
		{"above", 30, check.AtLeast(20, 10), machine.Pass},
		{"at least", 20, check.AtLeast(20, 10), machine.Pass},
		{"under warn", 19, check.AtLeast(20, 10), machine.Warn},
		{"under fail", 9, check.AtLeast(20, 10), machine.Fail},
		{"never fails below", -1e9, check.AtLeast(20, -inf), machine.Warn},
		{"never warns below", 15, check.AtLeast(-inf, 10), machine.Pass},
		{"fails below without warning", 5, check.AtLeast(-inf, 10), machine.Fail},
		{"no number", math.NaN(), check.AtMost(10, 20), machine.Fail},
	} {
		wantEvidence(t, c.name, check.Gauge(reads(c.value), "jobs", c.limit), c.want)
	}
}

func TestGaugeWords(t *testing.T) {
	wantEvidence(t, "warns", check.Gauge(reads(12), "jobs", check.AtMost(10, 20)), machine.Warn, "12 jobs, more than 10 jobs")
	wantEvidence(t, "fails", check.Gauge(reads(0.12345), "%", check.AtLeast(20, 10)), machine.Fail, "0.1235 %, less than 10 %")
	wantEvidence(t, "many", check.Gauge(reads(12345678), "jobs", check.AtMost(10, 20)), machine.Fail, "12345678 jobs")
	wantEvidence(t, "cannot read", check.Gauge(func(context.Context) (float64, error) { return 0, errDown }, "jobs", check.AtMost(1, 2)), machine.Fail, "down")
}

func TestLimitsThatCannotWork(t *testing.T) {
	for name, l := range map[string]check.Limit{
		"is not set":                       {},
		"is not a number":                  check.AtMost(math.NaN(), 1),
		"below where it warns (20)":        check.AtMost(20, 10),
		"which is above where it warns (1": check.AtLeast(10, 20),
	} {
		wantEvidence(t, name, check.Gauge(reads(0), "", l), machine.Fail, "limit", name)
		wantEvidence(t, name, check.Goroutines(l), machine.Fail, name)
	}
}

// TestMeasuredValuesAreShown: the server shows a measured value with its check.
func TestMeasuredValuesAreShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := once(t, check.Gauge(reads(12), "jobs", check.AtMost(10, 20)))
		if !got.HasValue || got.Value != 12 || got.Unit != "jobs" || got.Status != health.Degraded {
			t.Errorf("%+v", got)
		}
	})
}

func TestHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hb := check.NewHeartbeat()
		run := hb.Check(30 * time.Second)
		wantEvidence(t, "just made", run, machine.Pass)
		time.Sleep(30 * time.Second)
		wantEvidence(t, "at its end", run, machine.Pass)
		time.Sleep(time.Millisecond)
		wantEvidence(t, "over", run, machine.Fail, "no heartbeat for 30.001s")
		hb.Beat()
		wantEvidence(t, "beaten", run, machine.Pass)
		time.Sleep(time.Minute)
		wantEvidence(t, "silent", run, machine.Fail)
		wantEvidence(t, "no time", hb.Check(0), machine.Fail, "maxAge")
	})
}

func TestBeatAllocatesNothing(t *testing.T) {
	hb := check.NewHeartbeat()
	if n := testing.AllocsPerRun(100, hb.Beat); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
