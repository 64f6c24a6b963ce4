package audit

import (
	"slices"
	"time"
)

// Stats is a summary of a log.
type Stats struct {
	Lines   uint64 // number of the last accepted line that is durable
	Hash    Hash   // hash of this line
	Refused uint64 // number of the last line about refusals
	Dropped uint64 // refusals since the start of which no line has more than their number
	Bytes   int64  // size of all files
	Syncs   uint64 // syncs of accepted lines since the start
	// Failing is the error of the last write of accepted lines, or nil if it succeeded. While it is
	// not nil, the disk accepts no writes.
	Failing error
	// FailingRefusals is the same for refusals.
	FailingRefusals error
	// Began is the time when the present write of accepted lines began. It is zero if there is none.
	Began time.Time
	// Damage lists the files that were found to be damaged since the start, each with what was
	// found.
	Damage []string
}

// Stats returns a summary of the log. It is cheap, and does not wait for the disk.
func (l *Log) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stats
}

// publish copies to the summary what Run has changed, and logs new damage.
func (l *Log) publish() {
	for _, c := range []*chain{l.writes, l.refused} {
		for ; c.logged < len(c.damage); c.logged++ {
			l.logger.Error("a file of the audit log is damaged; run `meshhealth audit verify` for its folder", "folder", l.dir, "damage", c.damage[c.logged])
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &l.stats
	s.Lines, s.Hash, s.Refused = l.writes.head.number, l.writes.head.hash, l.refused.head.number
	s.Bytes, s.Syncs = l.writes.bytes()+l.refused.bytes(), l.writes.syncs
	if n := len(l.writes.damage) + len(l.refused.damage); n != len(s.Damage) {
		s.Damage = slices.Concat(l.writes.damage, l.refused.damage)
	}
}
