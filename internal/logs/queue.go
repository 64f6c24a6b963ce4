package logs

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// entry is one log record that waits to be written.
type entry struct {
	ctx    context.Context
	to     slog.Handler
	record slog.Record
	size   int // estimated memory of the record in bytes
}

// queue holds waiting records of at most limit bytes in total. Records that are being written count
// too.
type queue struct {
	limit int

	mu      sync.Mutex
	waiting []entry
	bytes   int
	writing bool          // true while the goroutine that writes records runs
	idle    chan struct{} // closed when the goroutine that writes records ends; nil if no caller waits for the end
	dropped uint64        // number of dropped records that no record in the log reports yet
	total   uint64        // number of records dropped since the start of the process
}

func (q *queue) add(e entry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.bytes+e.size > q.limit {
		q.dropped++
		q.total++
		return
	}
	q.bytes += e.size
	q.waiting = append(q.waiting, e)
	if !q.writing {
		q.writing = true
		go q.write()
	}
}

// write is the goroutine of the queue: it writes records until none waits. If a log handler ends
// this goroutine with runtime.Goexit, a new goroutine continues.
func (q *queue) write() {
	var batch []entry
	var last slog.Handler
	done := false
	defer func() {
		if done {
			return
		}
		for i := range batch { // a log handler has ended the goroutine, so the rest of the batch is lost
			q.free(batch[i].size)
		}
		go q.write()
	}()
	for {
		var dropped uint64
		if batch, dropped = q.takeBatch(); len(batch) == 0 && dropped == 0 {
			done = true
			return
		}
		for len(batch) > 0 {
			last = batch[0].to
			batch[0].write()
			q.free(batch[0].size)
			batch[0] = entry{}
			batch = batch[1:]
		}
		if dropped > 0 {
			loss := dropRecord(last, dropped)
			loss.write()
		}
	}
}

// takeBatch returns the waiting records, and how many records were dropped since the previous call of
// takeBatch. If no record waits and none was dropped, the goroutine that writes records must end.
func (q *queue) takeBatch() (batch []entry, dropped uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	batch, dropped = q.waiting, q.dropped
	q.waiting, q.dropped = nil, 0
	if len(batch) == 0 && dropped == 0 {
		q.writing = false
		if q.idle != nil {
			close(q.idle)
			q.idle = nil
		}
	}
	return batch, dropped
}

func (q *queue) free(bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.bytes -= bytes
}

// flush waits until all records are written and the goroutine of the queue has ended, but at most for
// limit.
func (q *queue) flush(limit time.Duration) {
	q.mu.Lock()
	if !q.writing {
		q.mu.Unlock()
		return
	}
	if q.idle == nil {
		q.idle = make(chan struct{})
	}
	idle := q.idle
	q.mu.Unlock()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-idle:
	case <-timer.C:
	}
}

func (q *queue) droppedSoFar() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.total
}

// dropRecord returns an entry with a record that says that n records were dropped. to is the log
// that will receive it.
func dropRecord(to slog.Handler, n uint64) entry {
	r := slog.NewRecord(time.Now(), slog.LevelWarn, "log records were dropped, because the log took them too slowly", 0)
	r.AddAttrs(slog.Uint64("records", n))
	return entry{ctx: context.Background(), to: to, record: r}
}

// write writes the record to its log. If the log panics or returns an error, the record is lost. The
// error is not reported, because there is no other log.
func (e *entry) write() {
	defer func() { _ = recover() }()
	if e.to.Enabled(e.ctx, e.record.Level) { // Enabled was not called yet for a record that dropRecord made
		_ = e.to.Handle(e.ctx, e.record)
	}
}

const (
	recordBytes = 400 // estimated bytes of a record without its texts
	valueBytes  = 64  // estimated bytes of a number, a time or another small value
	// anyBytes is the estimated size of any other value, such as an error. The text of an error
	// is not measured, because the method Error may panic.
	anyBytes = 1 << 10
)

// sizeOf estimates the memory of a record in bytes.
func sizeOf(r *slog.Record) int {
	n := recordBytes + len(r.Message)
	r.Attrs(func(a slog.Attr) bool {
		n += len(a.Key) + sizeOfValue(a.Value)
		return true
	})
	return n
}

func sizeOfValue(v slog.Value) int {
	switch v.Kind() {
	case slog.KindString:
		return len(v.String())
	case slog.KindAny:
		return anyBytes
	}
	return valueBytes
}
