package audit

import (
	"context"
	"time"
)

// Run writes lines until ctx ends. Then it writes what waits, and returns the error of that. Append
// returns nothing before Run was called, and ErrClosed after it has returned.
func (l *Log) Run(ctx context.Context) error {
	timer := time.NewTimer(0) // the line about the start is written at once
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return l.finish()
		case <-l.wake:
		case <-timer.C:
		}
		l.step(timer)
	}
}

// step writes one batch of accepted lines and all refusals, and sets the timer to the time of the next
// step.
func (l *Log) step(timer *time.Timer) {
	_, _ = l.writeBatch() // the callers have the error, and Stats has it too
	l.writeRefusals(false)
	l.publish()
	if wait, needed := l.nextStep(); needed {
		timer.Reset(wait)
	} else {
		timer.Stop()
	}
}

// retry is the time after which Run tries again to write lines for which no caller waits.
const retry = time.Second

// nextStep returns how long Run may wait if nobody wakes it.
func (l *Log) nextStep() (wait time.Duration, needed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case len(l.waiting) > 0:
		return 0, true
	case l.dropped > 0:
		return max(0, l.due.Sub(l.now())), true
	case l.refused.unsynced, len(l.notes) > 0, len(l.writes.notes) > 0:
		return retry, true
	}
	return 0, false
}

// finish writes what waits, when nothing more can come.
func (l *Log) finish() (err error) {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	for more := true; more; {
		more, err = l.writeBatch()
	}
	l.writeRefusals(true)
	l.publish()
	return err
}

// writeBatch writes a batch of accepted lines and answers their callers. It reports whether there was
// one.
func (l *Log) writeBatch() (more bool, err error) {
	batch := l.take()
	if len(batch) == 0 && len(l.writes.notes) == 0 {
		return false, nil
	}
	records := make([]stamped, len(batch))
	for i, q := range batch {
		records[i] = q.stamped
	}
	err = l.write(l.writes, records)
	for _, q := range batch {
		q.done <- err
	}
	return len(batch) > 0, err
}

// take takes the next batch of requests. Its lines fit into one segment, together with some notes.
func (l *Log) take() []*request {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := min(len(l.waiting), maxBatch, int(l.writes.segmentBytes/maxLine)-maxOwn-1)
	batch := l.waiting[:n:n]
	if l.waiting = l.waiting[n:]; len(l.waiting) == 0 {
		l.waiting = nil
	}
	return batch
}

// write writes lines to the chain of the accepted writes.
func (l *Log) write(c *chain, records []stamped) error {
	now := l.now()
	l.mu.Lock()
	l.stats.Began = now
	l.mu.Unlock()
	err := c.write(now, records, true)
	if took := l.now().Sub(now); took > slowWrite {
		l.logger.Warn("the audit log was slow; see its disk", "folder", l.dir, "took", took)
	}
	l.mu.Lock()
	failed := l.stats.Failing
	l.stats.Began, l.stats.Failing = time.Time{}, err
	l.mu.Unlock()
	l.logFailure(failed, err)
	l.publish()
	return err
}

// logFailure logs one line when writes begin to fail, and one line when they succeed again.
func (l *Log) logFailure(before, err error) {
	switch {
	case (before == nil) == (err == nil):
	case err != nil:
		l.logger.Error("the audit log does not accept lines; make room on its disk, or repair it; until then writes are refused", "folder", l.dir, "error", err)
	default:
		l.logger.Info("the audit log accepts lines again", "folder", l.dir)
	}
}

// writeRefusals writes the refusals that wait and the number of those that were dropped. It syncs
// them at most once a second, or if last is true.
func (l *Log) writeRefusals(last bool) {
	now := l.now()
	notes, dropped := l.takeRefusals(now, last)
	records := notes
	if dropped > 0 {
		records = append(records, stamped{droppedRecord(dropped), now})
	}
	sync := last || now.Sub(l.synced) >= retry
	var err error
	switch {
	case len(records) > 0 || len(l.refused.notes) > 0:
		err = l.refused.write(now, records, sync)
	case sync:
		err = l.refused.flush()
	}
	if sync {
		l.synced = now
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.FailingRefusals = err
	if err != nil && len(records) > 0 {
		l.stats.Dropped -= dropped
		l.drop(now, int(dropped)+len(notes))
	}
}

// takeRefusals takes what writeRefusals writes. The number of dropped refusals is 0 before its line
// is due.
func (l *Log) takeRefusals(now time.Time, last bool) (notes []stamped, dropped uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	notes, l.notes = l.notes, nil
	if last || !now.Before(l.due) {
		dropped, l.dropped = l.dropped, 0
	}
	return notes, dropped
}

func droppedRecord(n uint64) Record {
	r := ownRecord(Dropped, "refusals that were not written, because there were more than 10 a second or the disk did not accept them")
	r.Count = n
	return r
}
