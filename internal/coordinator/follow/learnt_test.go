package follow

import (
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// TestLearntChain tests which protocols are tried after which news.
func TestLearntChain(t *testing.T) {
	for name, c := range map[string]struct {
		news       func(*learnt)
		configured health.Protocol
		want       []protocol
	}{
		"nothing yet":              {func(*learnt) {}, health.ProtocolAuto, chainAll},
		"meshhealth is configured": {func(*learnt) {}, health.ProtocolMeshhealth, chainExtended},
		"Watch is configured":      {func(*learnt) {}, health.ProtocolWatch, chainWatch},
		"Check is configured":      {func(*learnt) {}, health.ProtocolCheck, chainPoll},
		"no heartbeats":            {func(l *learnt) { l.extended.unusable = "x" }, health.ProtocolAuto, chainStock},
		"a Watch that lies":        {func(l *learnt) { l.stock.distrusted = "x" }, health.ProtocolAuto, chainNoWatch},
		"both":                     {func(l *learnt) { l.extended.unusable, l.stock.distrusted = "x", "x" }, health.ProtocolAuto, chainPoll},
		"a flood":                  {func(l *learnt) { l.flood.began(time.Now()) }, health.ProtocolAuto, chainPoll},
		"a confirmed Watch": {func(l *learnt) {
			l.stock.distrusted = "x"
			l.watchConfirmed()
		}, health.ProtocolAuto, chainAll},
		"no room for streams": {func(l *learnt) { l.move(true) }, health.ProtocolMeshhealth, chainPoll},
		"polls found room": {func(l *learnt) {
			l.move(true)
			l.protocolWorked(&ended{}, true)
		}, health.ProtocolAuto, chainAll},
	} {
		var l learnt
		c.news(&l)
		if got, first := l.plan(c.configured, time.Now()); !slices.Equal(got, c.want) || first != 0 {
			t.Errorf("%s: protocols %v from %d, want %v", name, got, first, c.want)
		}
	}
}

// TestLearntConnectionLost tests that the first protocol must lose the connection twice
// before it is passed over, and that a loss by all protocols is evidence.
func TestLearntConnectionLost(t *testing.T) {
	var l learnt
	lost := &ended{found: finding{kind: replyCut, reason: "x"}}
	for i, want := range []struct {
		last, evidence bool
		first          int // the protocol that is tried next
	}{{false, false, 0}, {false, false, 1}, {false, false, 2}, {true, true, 0}} {
		if got := l.connectionLost(lost, want.last); got != want.evidence {
			t.Errorf("loss %d: evidence %v, want %v", i+1, got, want.evidence)
		}
		if _, first := l.plan(health.ProtocolAuto, time.Now()); first != want.first {
			t.Errorf("loss %d: protocol %d is tried next, want %d", i+1, first, want.first)
		}
	}
	l.connectionLost(lost, false)
	l.connectionLost(lost, false)
	l.connectionLost(&ended{answered: true}, false)
	if _, first := l.plan(health.ProtocolAuto, time.Now()); first != 0 {
		t.Error("a protocol is passed over after another one had an answer")
	}
}

// TestExtendedHistory tests which ends make the meshhealth Watch unusable.
func TestExtendedHistory(t *testing.T) {
	silent, early := extendedEnd{err: errSilent}, extendedEnd{err: errors.New("x"), early: true}
	fine := extendedEnd{err: errors.New("x"), heartbeat: true}
	for name, c := range map[string]struct {
		ends     []extendedEnd
		unusable bool
	}{
		"silent once":         {[]extendedEnd{silent}, false},
		"silent twice":        {[]extendedEnd{silent, silent}, true},
		"silent, fine":        {[]extendedEnd{silent, fine, silent}, false},
		"early once":          {[]extendedEnd{early}, false},
		"early twice":         {[]extendedEnd{early, early}, true},
		"early, fine":         {[]extendedEnd{early, fine, early}, false},
		"without an error":    {[]extendedEnd{{err: io.EOF, heartbeat: true}}, true},
		"unusable, then fine": {[]extendedEnd{silent, silent, fine}, true},
	} {
		var h extendedHistory
		for _, e := range c.ends {
			h.ended(e)
		}
		if got := h.unusable != ""; got != c.unusable {
			t.Errorf("%s: unusable %v (%s), want %v", name, got, h.unusable, c.unusable)
		}
	}
}

// TestStockHistory tests which ends make the stock Watch distrusted.
func TestStockHistory(t *testing.T) {
	shutdown := stockEnd{err: status.Error(codes.Unavailable, "x"), answered: true, early: true, connected: true}
	for name, c := range map[string]struct {
		ends       []stockEnd
		distrusted bool
	}{
		"one shutdown":        {[]stockEnd{shutdown}, false},
		"two early shutdowns": {[]stockEnd{shutdown, shutdown}, true},
		"a long life between": {[]stockEnd{shutdown, {err: shutdown.err, answered: true}, shutdown}, false},
		"early, by an error":  {[]stockEnd{{err: errors.New("x"), answered: true, early: true}}, true},
		"without an error":    {[]stockEnd{{err: io.EOF, answered: true}}, true},
		"silent":              {[]stockEnd{{err: errSilent}}, true},
		"no room":             {[]stockEnd{{err: errSilent, waitsForRoom: true}}, false},
		"silent after status": {[]stockEnd{{err: errSilent, answered: true}}, false},
		"contradicted":        {[]stockEnd{{err: errContradicted, answered: true}}, true},
	} {
		var h stockHistory
		for _, e := range c.ends {
			h.ended(e)
		}
		if got := h.distrusted != ""; got != c.distrusted {
			t.Errorf("%s: distrusted %v (%s), want %v", name, got, h.distrusted, c.distrusted)
		}
	}
}

// TestFloodHistory tests that a flood ends when the status has not changed for a while.
func TestFloodHistory(t *testing.T) {
	var h floodHistory
	now := time.Now()
	if !h.began(now) || h.began(now.Add(time.Second)) {
		t.Error("only the first flood is new")
	}
	if h.ends(false, now.Add(wire.FloodQuiet-1)) || h.ends(true, now.Add(wire.FloodQuiet)) {
		t.Error("the flood ended too early")
	}
	if h.ends(false, now.Add(2*wire.FloodQuiet-1)) || !h.ends(false, now.Add(2*wire.FloodQuiet)) || h.active {
		t.Error("the flood did not end in time")
	}
}
