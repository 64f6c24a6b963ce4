package follow

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/meshhealth/meshhealth/health"
)

// busy turns away all calls except each nth.
type busy struct {
	healthpb.UnimplementedHealthServer
	err   error
	nth   int64
	calls atomic.Int64
}

func (b *busy) Check(context.Context, *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	if b.calls.Add(1)%b.nth != 0 {
		return nil, b.err
	}
	return &healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_SERVING}, nil
}

func askedToWait(d time.Duration) error {
	st, err := status.New(codes.ResourceExhausted, "later").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(d)})
	if err != nil {
		panic(err)
	}
	return st.Err()
}

// TestRetry tests which errors make the retrier repeat a Check, and which evidence
// follows.
func TestRetry(t *testing.T) {
	none := Retry{RetryRule: RetryRule{Attempts: 1}}
	fast := Retry{RetryRule: RetryRule{Base: 100 * time.Millisecond}}
	for what, c := range map[string]struct {
		err   error
		nth   int64
		retry Retry
		want  string
		calls int64
		made  uint64
	}{
		"UNAVAILABLE":                       {status.Error(codes.Unavailable, "busy"), 3, fast, "pay/a: SERVING by grpc-poll", 3, 2},
		"RESOURCE_EXHAUSTED, told when":     {askedToWait(200 * time.Millisecond), 2, fast, "pay/a: SERVING by grpc-poll", 2, 1},
		"told to wait for too long":         {askedToWait(time.Minute), 2, fast, "pay/a: quota", 1, 0},
		"RESOURCE_EXHAUSTED":                {status.Error(codes.ResourceExhausted, "no"), 2, fast, "pay/a: quota", 1, 0},
		"DEADLINE_EXCEEDED is evidence":     {status.Error(codes.DeadlineExceeded, "no"), 2, fast, "pay/a: path", 1, 0},
		"INTERNAL":                          {status.Error(codes.Internal, "no"), 2, fast, "pay/a: failed", 1, 0},
		"not more than so often":            {status.Error(codes.Unavailable, "busy"), 9, fast, "pay/a: path", 3, 2},
		"not at all":                        {status.Error(codes.Unavailable, "busy"), 2, none, "pay/a: path", 1, 0},
		"not this method":                   {status.Error(codes.Unavailable, "busy"), 2, Retry{Methods: map[string]RetryRule{"grpc.health.v1.Health/Check": {Attempts: 1}}}, "pay/a: path", 1, 0},
		"another method":                    {status.Error(codes.Unavailable, "busy"), 2, Retry{RetryRule: fast.RetryRule, Methods: map[string]RetryRule{"meshhealth.v1.HealthService/Check": {Attempts: 1}}}, "pay/a: SERVING by grpc-poll", 2, 1},
		"more often, for this method alone": {status.Error(codes.Unavailable, "busy"), 5, Retry{RetryRule: none.RetryRule, Methods: map[string]RetryRule{"grpc.health.v1.Health/Check": {Attempts: 5, Base: 10 * time.Millisecond}}}, "pay/a: SERVING by grpc-poll", 5, 4},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRigWith(t, func(cfg *Config) { cfg.Retry = c.retry })
				r.manager.retrier.budget.calls.Store(1000)
				s := &busy{err: c.err, nth: c.nth}
				r.serve("host:1", checkOnly{s}.register)
				r.register("pay/a", health.Spec{Address: "host:1"})
				if got := r.firstTold(); got != c.want {
					t.Errorf("evidence %s, want %s", got, c.want)
				}
				if made, _ := r.manager.Retries(); made != c.made || s.calls.Load() != c.calls {
					t.Errorf("%d calls, %d repeated; want %d, %d", s.calls.Load(), made, c.calls, c.made)
				}
			})
		})
	}
}

// firstTold waits for the first piece of evidence.
func (r *rig) firstTold() string {
	for range 10_000 {
		if got := r.drain(); len(got) > 0 {
			return got[0].String()
		}
		time.Sleep(time.Millisecond)
	}
	return "nothing"
}

// conn returns the connection to an address.
func (r *rig) conn(address string) *grpc.ClientConn {
	for _, e := range r.manager.pool.all() {
		if e.key.address == address {
			return e.connect(r.t.Context(), 0).conn
		}
	}
	return nil
}

func turnsAway(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error {
	return status.Error(codes.Unavailable, "busy")
}

// TestRetryFits tests that retries delay neither the next poll nor the evidence,
// whatever is configured.
func TestRetryFits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigWith(t, func(cfg *Config) {
			cfg.PollEvery = time.Second
			cfg.Retry = Retry{RetryRule: RetryRule{Attempts: 10, Base: 300 * time.Millisecond}}
		})
		r.countPolls()
		r.after(10 * time.Second)
		var all []time.Duration
		for range 200 {
			began := time.Now()
			err := r.manager.retrier.unary(t.Context(), healthpb.Health_Check_FullMethodName, nil, nil, r.conn("host:1"), turnsAway)
			if status.Code(err) != codes.Unavailable {
				t.Fatalf("%v", err)
			}
			all = append(all, time.Since(began))
			time.Sleep(20 * time.Second) // until the budget has grown again
		}
		if most := slices.Max(all); most > time.Second/2 || most < time.Second/10 {
			t.Errorf("repeated for up to %v, want more than 0 and at most half of the interval", most)
		}
	})
}

// TestRetryBudget tests that about a tenth of the calls is repeated if all targets turn
// calls away.
func TestRetryBudget(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	for what, c := range map[string]struct {
		calls int
		over  time.Duration
		want  int
	}{
		"a crowd":         {10_000, 10 * time.Second, 1010},
		"one in a second": {10, 10 * time.Second, 10},
		"at once":         {10_000, 0, 1001},
		"a few":           {3, 0, 1},
	} {
		var b retryBudget
		n := 0
		for i := range c.calls {
			b.countCall()
			if b.spend(start.Add(c.over * time.Duration(i) / time.Duration(c.calls))) {
				n++
			}
		}
		if n < c.want-c.want/20-1 || n > c.want+c.want/20+1 {
			t.Errorf("%s: %d of %d calls repeated, want about %d", what, n, c.calls, c.want)
		}
	}
	b := retryBudget{}
	b.spend(start)
	b.calls.Store(1 << 40)
	n := 0
	for b.spend(start.Add(time.Hour)) {
		n++
	}
	if n != maxBudget {
		t.Errorf("%d tokens saved, want %d", n, maxBudget)
	}
}

// TestRetryIsChecked tests that an error names the field and what is allowed.
func TestRetryIsChecked(t *testing.T) {
	r := Retry{RetryRule: RetryRule{Attempts: 11, Base: time.Millisecond, Cap: time.Microsecond}, Methods: map[string]RetryRule{
		"grpc.health.v1.Health/Watch": {}, "grpc.health.v1.Health/Check": {Attempts: -1, Base: time.Minute, Cap: time.Second},
	}}
	want := []string{
		"Attempts: is 11; allowed: 1 to 10, 0 for the default",
		"Base: is 1ms; allowed: 10ms or more, 0 for the default",
		"Cap: is 1µs; allowed: Base, 1ms, or more, 0 for the default",
		"Methods[grpc.health.v1.Health/Check].Attempts: is -1; allowed: 1 to 10, 0 for the default",
		"Methods[grpc.health.v1.Health/Check].Cap: is 1s; allowed: Base, 1m0s, or more, 0 for the default",
		`Methods[grpc.health.v1.Health/Watch]: "grpc.health.v1.Health/Watch" is no method that may be called again; allowed: grpc.health.v1.Health/Check, meshhealth.v1.HealthService/Check`,
	}
	if err := r.Validate(); err == nil {
		t.Error("an invalid rule was accepted")
	} else {
		for _, w := range want {
			if !slices.Contains(strings.Split(err.Error(), "\n"), w) {
				t.Errorf("the error lacks %q:\n%v", w, err)
			}
		}
	}
	for _, good := range []Retry{{}, {Methods: map[string]RetryRule{"meshhealth.v1.HealthService/Check": {Attempts: 1}}}} {
		if err := good.Validate(); err != nil {
			t.Error(err)
		}
	}
	for what, c := range map[string]struct{ rule, of, want RetryRule }{
		"nothing":        {RetryRule{}, RetryRule{}, RetryRule{3, time.Second, 15 * time.Second}},
		"a large base":   {RetryRule{Base: time.Minute}, RetryRule{}, RetryRule{3, time.Minute, time.Minute}},
		"a small cap":    {RetryRule{Cap: time.Millisecond}, RetryRule{}, RetryRule{3, time.Millisecond, time.Millisecond}},
		"that of all":    {RetryRule{}, RetryRule{5, time.Minute, time.Hour}, RetryRule{5, time.Minute, time.Hour}},
		"not that base":  {RetryRule{Cap: time.Second}, RetryRule{5, time.Minute, time.Hour}, RetryRule{5, time.Second, time.Second}},
		"all of its own": {RetryRule{2, 3, 4}, RetryRule{5, 6, 7}, RetryRule{2, 3, 4}},
	} {
		if got := c.rule.withDefaults(c.of); got != c.want {
			t.Errorf("%s: %v, want %v", what, got, c.want)
		}
	}
	if got := fmt.Sprint(RetryRule{Base: time.Second, Cap: 3 * time.Second}.maxPause(0), RetryRule{Base: time.Second, Cap: 3 * time.Second}.maxPause(1), RetryRule{Base: time.Second, Cap: 3 * time.Second}.maxPause(99)); got != "1s 2s 3s" {
		t.Errorf("pauses up to %s, want 1s 2s 3s", got)
	}
}
