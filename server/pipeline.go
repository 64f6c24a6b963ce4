package server

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
)

// pipeline turns the outcomes of checks into published statuses, in these steps:
//
//	schedule   decides which check runs, and when
//	run        executes the check in a worker, without the lock
//	outcome    is the result of the run; the schedule gives it to the state machine of the check
//	judgement  counts the checks by status and computes the status of each served service
//	publisher  publishes the served services that have changed
//
// Each method that changes something ends with publishAndUnlock.
//
// A task is a check together with its state. A served service is one name that the server
// publishes. Its members are the tasks that can affect its status. A service blames a member
// if the member is a reason why the service is not SERVING.
type pipeline struct {
	service string // Config.Service, for the log
	logger  *slog.Logger
	wake    chan struct{} // a value wakes the scheduler; the buffer has room for one value

	// mu guards the fields below. It is not held while a check, a callback or the logger
	// runs.
	mu        sync.Mutex
	checks    checkSet
	schedule  schedule
	judgement judgement
	publisher publisher
}

func newPipeline(cfg *Config) *pipeline {
	p := &pipeline{
		service: cfg.Service, logger: cfg.Logger, wake: make(chan struct{}, 1),
		checks:    checkSet{tasks: map[string]*task{}, rules: sharedRules{}},
		schedule:  schedule{maxRuns: cfg.MaxConcurrent, history: cfg.History, epoch: time.Now()},
		judgement: newJudgement(cfg),
	}
	p.publisher = publisher{feed: feed.New(rand.Uint64(), 0), judgement: &p.judgement, totals: &p.schedule.totals} // #nosec G404 -- an epoch, which everybody may know
	p.publisher.publish(time.Now())
	return p
}

// update calls the function change with the lock held, and publishes the result. When update
// returns, a changed status is published. Other changes may be published up to 200 ms later (the
// constant newsEvery).
func (p *pipeline) update(change func(now time.Time)) {
	p.mu.Lock()
	now := time.Now()
	change(now)
	p.publishAndUnlock(now)
}

// publishAndUnlock publishes all changes and releases the lock. After that it writes the
// log. It wakes the scheduler if work is due earlier than the scheduler plans to wake.
func (p *pipeline) publishAndUnlock(now time.Time) {
	changes, newsWait := p.publish(now)
	wake := newsWait || p.schedule.wakeSoon
	p.mu.Unlock()
	p.log(changes)
	if wake {
		p.wakeScheduler()
	}
}

// publish updates the counts for all changed checks and publishes the changed services. Changes
// other than a changed status may wait, but only while the scheduler runs, because the scheduler
// publishes them later. newsWait reports whether changes began to wait in this call.
func (p *pipeline) publish(now time.Time) (changes []health.Change, newsWait bool) {
	p.countChanged()
	return p.publisher.publishSoon(now, !p.judgement.started || p.schedule.closed)
}

// countChanged updates the counts of the judgement for the checks in schedule.changed.
func (p *pipeline) countChanged() {
	if len(p.schedule.changed) > 0 {
		p.publisher.pages.statusChanged()
		p.schedule.forEachChanged(p.judgement.count)
	}
	p.judgement.updateStarted()
}

// wakeScheduler makes the scheduler call step at once.
func (p *pipeline) wakeScheduler() {
	select {
	case p.wake <- struct{}{}:
	default: // the channel has a value already, which will wake the scheduler
	}
}

// step does all work that is due at the time now. The result next is the time when step must be
// called again, at most 10 ms (the constant maxPause) after `limit`. callWorker reports whether
// the caller must start a worker.
func (p *pipeline) step(now, limit time.Time) (next time.Time, callWorker bool) {
	p.mu.Lock()
	due := p.schedule.step(now, limit)
	changes, _ := p.publish(now)
	next = p.schedule.wakeTime
	if news := p.publisher.newsDue; !news.IsZero() && news.Before(next) {
		next = news
	}
	next = later(next, now.Add(pauseAfter(due)))
	callWorker = p.schedule.callWorker()
	p.mu.Unlock()
	p.log(changes)
	return next, callWorker
}

// beginFirst begins the first run of a worker. r is nil if no run may begin. callWorker
// reports whether the caller must start another worker.
func (p *pipeline) beginFirst(ctx context.Context) (r *run, callWorker bool) {
	p.mu.Lock()
	now := time.Now()
	r, callWorker = p.schedule.beginFirst(ctx, now)
	p.publishAndUnlock(now)
	return r, callWorker
}

// finish records the outcome o of the run r and begins the next run of the worker. next is
// nil if no run may begin. callWorker reports whether the caller must start another worker.
func (p *pipeline) finish(r *run, o outcome) (next *run, callWorker bool) {
	p.mu.Lock()
	now := time.Now()
	p.schedule.finish(r, o, now)
	next, callWorker = p.schedule.beginNext(r.parent, now)
	p.publisher.pages.checkRan()
	done := r.done
	p.publishAndUnlock(now)
	if done != nil {
		close(done)
	}
	return next, callWorker
}

// add adds all checks, or none if there is an error. rules[i] has the rules of checks[i].
// errs has the errors that the caller has found in checks. The caller holds the lock.
func (p *pipeline) add(checks []Check, rules []rules, errs []error, now time.Time) error {
	tasks, err := p.checks.newTasks(checks, rules, errs)
	if err != nil {
		return err
	}
	var dependents []*task
	for _, t := range tasks {
		p.checks.insert(t, now)
		if len(t.dependencies()) > 0 {
			dependents = append(dependents, t)
		}
		p.judgement.addCheck(t)
		p.schedule.add(t, now)
	}
	for _, t := range postorder(dependents, (*task).dependencies) {
		t.updateBlocker()
	}
	return nil
}

// remove removes checks by name and returns how many it has removed. The lock must be
// held.
func (p *pipeline) remove(names []string, now time.Time) (removed int) {
	services := map[*servedService]bool{}
	for _, name := range names {
		t := p.checks.tasks[name]
		if t == nil {
			continue
		}
		removed++
		delete(p.checks.tasks, name)
		p.schedule.remove(t, now)
		for _, s := range p.judgement.servicesOf(t) {
			services[s] = true
		}
	}
	p.judgement.dropRemoved(services)
	return removed
}

// start notes that Run was called. first reports whether this is the first call of start.
func (p *pipeline) start() (first bool) {
	p.update(func(time.Time) {
		first = !p.judgement.started
		p.judgement.started, p.judgement.noRunNote = true, ""
		p.judgement.markAll()
	})
	return first
}

// stop ends the schedule. It returns each run in progress with the time until which the
// caller must wait for this run.
func (p *pipeline) stop() map[*run]time.Time {
	left := map[*run]time.Time{}
	p.update(func(time.Time) {
		p.schedule.closed, p.judgement.leaving = true, true
		p.judgement.markAll()
		for t := range p.schedule.wheel.all() {
			if r := t.current; t.phase == running {
				r.done = make(chan struct{})
				left[r] = r.overdue
			}
		}
	})
	return left
}

// leave makes the status of the server DRAINING and publishes it.
func (p *pipeline) leave() {
	p.update(func(time.Time) {
		p.judgement.leaving = true
		p.judgement.markAll()
	})
}

// stuck returns ErrStuck with the names of the checks whose run has not returned.
func (p *pipeline) stuck() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.checks.stuck()
}

// chunk is the number of checks that forEachCheck visits before it releases the lock.
const chunk = 1000

// forEachCheck calls f with the lock held for each check, in the order of Add. It
// releases the lock after each chunk, so that others wait less than 1 ms for the lock. It
// leaves out a check that is removed while forEachCheck runs.
func (p *pipeline) forEachCheck(f func(*task)) {
	p.mu.Lock()
	members := slices.Clone(p.judgement.own().members)
	p.mu.Unlock()
	for tasks := range slices.Chunk(members, chunk) {
		p.mu.Lock()
		for _, t := range tasks {
			if !t.removed {
				f(t)
			}
		}
		p.mu.Unlock()
	}
}

// figures returns the present checks and metrics of a name, for the calls Check and List.
// The results may be newer than the checks and metrics in the feed, which are published with a
// delay.
func (p *pipeline) figures(id health.ID) ([]health.CheckState, *health.Metrics) {
	p.mu.Lock()
	s := p.judgement.byID[id]
	if s == nil {
		p.mu.Unlock()
		return nil, nil
	}
	checks, totals := p.judgement.judgedBy(s).checkStates(&p.judgement.worst), p.schedule.totals
	p.mu.Unlock()
	return checks, totals.metrics()
}

// log writes a record for each transition in changes. The caller does not hold the lock.
func (p *pipeline) log(changes []health.Change) {
	for i := range changes {
		p.logChange(&changes[i])
	}
}

func (p *pipeline) logChange(c *health.Change) {
	if c.From == c.Status || c.ID == (health.ID{}) { // the name "" always has the status of Config.Service
		return
	}
	level := slog.LevelInfo
	if c.Status == health.Degraded || c.Status == health.NotServing {
		level = slog.LevelWarn
	}
	if !p.logger.Enabled(context.Background(), level) {
		return
	}
	p.logger.LogAttrs(context.Background(), level, "health changed",
		slog.String("service", c.ID.Service), slog.String("from", c.From.String()), slog.String("to", c.Status.String()),
		slog.String("cause", c.Cause.String()), slog.String("reason", c.Reason))
}
