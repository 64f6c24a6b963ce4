package grpchealth

import (
	"iter"
	"slices"

	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// sender sends what one reader gets from the feed as messages on the stream of one Watch. The
// reader gets steps: changes, a snapshot or a heartbeat.
type sender struct {
	h      *Handlers
	watch  *wire.Watch
	stream timedStream[pb.WatchResponse]
	view   view
	first  bool   // true until the first message was sent
	told   uint64 // number of the collection of figures that was sent last; 0: none
	// reached is the revision up to which the client has received all changes.
	reached uint64
}

func (h *Handlers) newSender(w *wire.Watch, rights *access.Rights, format feed.Format, stream timedStream[pb.WatchResponse]) *sender {
	s := &sender{h: h, watch: w, stream: stream, view: newView(w, rights, format), first: true, reached: w.Token.Revision}
	s.view.hidesEmpty = h.hidesEmpty(&w.Selector)
	return s
}

func (s *sender) send(step *feed.Step) error {
	if step.Figures {
		return s.sendFiguresOrBeat(step)
	}
	if step.Beat {
		return s.sendMessage(nil, step.Revision, &pb.WatchResponse{Build: s.h.cfg.Build})
	}
	if step.Batch != nil && s.view.everything() {
		if shown, same := s.view.shownOf(step.Batch); same {
			return s.sendBatch(step, shown)
		}
	}
	return s.sendEntries(step)
}

// sendBatch sends a whole batch of changes, or all but services in zones. All senders that omit the
// same, and whose callers see the same, share the encoded bytes.
func (s *sender) sendBatch(step *feed.Step, shown access.Shown) error {
	encoding := encodingOf(s.view.format, shown)
	encoding.NoServiceZones = s.view.selector.NoServiceZones
	b := step.Batch.Encoded(encoding, func(b *feed.Batch) []byte {
		var all []byte
		for _, e := range b.Entries {
			if len(all) > wire.ChunkBytes {
				break // the bytes will not be used
			}
			if s.view.selects(e) {
				all = append(all, encodedEntry(e, s.view.format, shown)...)
			}
		}
		return all
	})
	switch {
	case len(b) > wire.ChunkBytes:
		return s.sendEntries(step)
	case len(b) == 0:
		return nil // the batch has only entries that this Watch omits
	}
	return s.sendMessage(b, step.Revision, &pb.WatchResponse{})
}

// sendEntries sends the entries of a step that this Watch selects, in chunks: messages of
// limited size. A client can resume after each chunk of changes. It can resume after a snapshot
// only if it has received the last chunk.
func (s *sender) sendEntries(step *feed.Step) error {
	c := chunker{s: s, step: step}
	if step.Snapshot {
		s.view.restart()
	}
	var known map[health.ID]bool
	if step.Snapshot && len(s.view.ids) > 0 {
		known = map[health.ID]bool{}
	}
	for e := range s.inOrder(step) {
		if known != nil {
			known[e.ID] = true
		}
		if err := c.add(s.view.fragment(e), e.Revision); err != nil {
			return err
		}
	}
	if known != nil {
		for fragment := range s.view.unknownNames(known) {
			if err := c.add(fragment, 0); err != nil {
				return err
			}
		}
	}
	return c.sendLast()
}

// inOrder returns the entries of a step. For a caller that may not read every name, changes are ordered by
// name. Their revisions also change if the caller cannot see what has changed in an aggregate.
func (s *sender) inOrder(step *feed.Step) iter.Seq[*feed.Entry] {
	if !s.view.filtered || step.Snapshot {
		return step.Entries
	}
	return slices.Values(slices.SortedFunc(step.Entries, func(a, b *feed.Entry) int { return a.ID.Compare(b.ID) }))
}

// resume is called before the first step of a Watch with a resume token. If the caller may not read every
// name, it sends all aggregates that the caller may read. It is not known what the client has of them, and
// a change of hidden services must not decide which of them are sent.
func (s *sender) resume() error {
	cut := s.h.cfg.Feed.Cut()
	if !s.view.filtered || s.watch.Token.Epoch != s.h.cfg.Feed.Epoch() || s.watch.Token.Revision > cut.Revision() {
		return nil // if the token is not valid, a snapshot follows
	}
	c := chunker{s: s, step: &feed.Step{Revision: s.watch.Token.Revision}}
	for e := range s.view.aggregates(cut) {
		if err := c.add(s.view.fragment(e), e.Revision); err != nil {
			return err
		}
	}
	return c.sendLast()
}

// chunker joins the encoded entries of a step to chunks, and sends each chunk as a message. A
// chunk has at most wire.ChunkBytes bytes, unless it has only one entry, which is larger. Each
// message has its own buffer, because gRPC may use a message after Send has returned.
type chunker struct {
	s       *sender
	step    *feed.Step
	chunk   []byte
	reached uint64 // revision of the last entry in chunk; not used if the step is a snapshot
}

// add adds an encoded entry to the chunk. If the chunk has no room for the entry, add sends
// the chunk first.
func (c *chunker) add(fragment []byte, revision uint64) error {
	if len(c.chunk) > 0 && len(c.chunk)+len(fragment) > wire.ChunkBytes {
		if revision == c.reached {
			c.reached-- // a client that resumes after this chunk must receive all entries of this revision
		}
		if err := c.sendPart(); err != nil {
			return err
		}
		c.chunk = make([]byte, 0, wire.ChunkBytes)
	}
	c.chunk, c.reached = joined(c.chunk, fragment), revision
	return nil
}

// joined appends a fragment, which is an encoded entry, to a chunk. The first fragment of the
// first chunk is used without a copy. All readers share the bytes of a fragment. Therefore the
// capacity of the result is its length, so that a later append copies it.
func joined(chunk, fragment []byte) []byte {
	if len(chunk) == 0 && cap(chunk) < len(fragment) {
		return slices.Clip(fragment)
	}
	return append(chunk, fragment...)
}

// sendPart sends a chunk that is not the last one of its step.
func (c *chunker) sendPart() error {
	reached := c.reached
	switch {
	case c.step.Snapshot:
		reached = 0
	case c.s.view.filtered: // the entries are not in the order of their revisions
		reached = c.s.reached
	}
	m := &pb.WatchResponse{Snapshot: c.step.Snapshot, Gap: c.step.Gap}
	c.step.Gap = false
	return c.s.sendMessage(c.chunk, reached, m)
}

// sendLast sends the last chunk of a step. If the step has changes but this Watch selects none
// of them, sendLast sends nothing.
func (c *chunker) sendLast() error {
	if !c.step.Snapshot && len(c.chunk) == 0 {
		return nil
	}
	c.s.reached = c.step.Revision
	return c.s.sendMessage(c.chunk, c.step.Revision, &pb.WatchResponse{
		Snapshot: c.step.Snapshot, SnapshotEnd: c.step.Snapshot, Gap: c.step.Gap,
	})
}

// sendMessage sends a message with encoded entries, or none.
func (s *sender) sendMessage(entries []byte, revision uint64, m *pb.WatchResponse) error {
	return s.sendElements(entriesName, entries, revision, m)
}

// sendElements sets the other fields of m and sends it. field is the name in JSON of the repeated field
// whose encoded elements are given. For the format Protobuf, these are unknown fields of m. So gRPC copies
// the bytes and does not encode the elements again.
func (s *sender) sendElements(field string, elements []byte, revision uint64, m *pb.WatchResponse) error {
	m.Epoch, m.Revision, m.At = s.h.cfg.Feed.Epoch(), revision, timestamppb.Now()
	resumable := revision > 0 || !m.GetSnapshot()
	if s.view.filtered {
		m.Revision = 0 // the caller would learn how many changes there are that it cannot see
	}
	if resumable {
		m.ResumeToken = s.encodeToken(wire.Token{Epoch: m.GetEpoch(), Revision: revision, Scope: s.watch.Scope})
	}
	if s.first {
		m.Build, s.first = s.h.cfg.Build, false
	}
	if s.view.format == feed.JSON {
		return s.stream.SendMsg(jsonMessage{response: m, field: field, elements: elements})
	}
	m.ProtoReflect().SetUnknown(elements)
	return s.stream.Send(m)
}

// encodeToken returns the text of a resume token.
func (s *sender) encodeToken(t wire.Token) string {
	if s.view.filtered {
		return s.h.tokens.Encode(t)
	}
	return t.Encode()
}

// sendFiguresOrBeat sends the figures that are due. If nothing has changed, it sends a heartbeat if
// one is due. A message with figures is a heartbeat too, because it has no entries.
func (s *sender) sendFiguresOrBeat(step *feed.Step) error {
	sent, err := s.sendFigures(step.Revision)
	if err != nil || sent || !step.Beat {
		return err
	}
	return s.sendMessage(nil, step.Revision, &pb.WatchResponse{Build: s.h.cfg.Build})
}

// sendFigures sends the figures that have changed since the last call, of the entries that the
// request selects and the caller may read. The first call sends all of them. It sends several
// messages if one would be larger than wire.ChunkBytes, and none if there is no such figure.
func (s *sender) sendFigures(revision uint64) (sent bool, err error) {
	cut := s.h.cfg.Feed.Cut()
	c := s.h.figures.collect(cut, s.h.cfg.Feed.Beats(), s.h.figureOf)
	var encoded []byte
	flush := func() error {
		err := s.sendElements(figuresName, encoded, revision, &pb.WatchResponse{})
		encoded, sent = nil, true
		return err
	}
	for _, f := range c.all {
		if f.changed <= s.told {
			break
		}
		if !s.view.showsFigures(cut, f.id) {
			continue
		}
		element := f.encoded[s.view.format]()
		if len(encoded) > 0 && len(encoded)+len(element) > wire.ChunkBytes {
			if err := flush(); err != nil {
				return true, err
			}
		}
		encoded = joined(encoded, element)
	}
	s.told = c.number
	if len(encoded) == 0 {
		return sent, nil
	}
	return true, flush()
}
