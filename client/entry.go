package client

import (
	"time"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// Entry is the state of one instance, service, zone or mesh, as the coordinator has sent
// it. All its times are times of the coordinator's clock.
//
// The coordinator does not send all fields of a State. Fields about evidence are always zero.
// Addresses and the texts of checks are empty unless the caller may read them. Spec is nil for
// an aggregate, and Counts is nil for an instance.
type Entry struct {
	health.State
	// Unregistered reports that the name is not registered. It can be true only for names in
	// WatchOptions.Names. In this case Status is Unknown.
	Unregistered bool
	// At is the time at which the coordinator has sent the entry.
	At time.Time
	// Age is how long Status had lasted at the time At. The coordinator measures Age with its
	// monotonic clock. Age is 0 if the field Since is zero.
	Age time.Duration

	message *pb.Health
}

// EntryOf converts a message to an Entry. It is for programs that call Check or List of
// HealthService on [Client.Conn].
func EntryOf(m *pb.Health) *Entry {
	state, registered := wire.StateFromHealth(m)
	e := &Entry{State: state, Unregistered: !registered, Age: m.GetAge().AsDuration(), message: m}
	if m.GetAt() != nil {
		e.At = m.GetAt().AsTime()
	}
	return e
}

// Proto returns the message from which the entry was made, or nil if there is none. The
// message must not be modified.
func (e *Entry) Proto() *pb.Health { return e.message }

func entriesOf(messages []*pb.Health) []*Entry {
	entries := make([]*Entry, len(messages))
	for i, m := range messages {
		entries[i] = EntryOf(m)
	}
	return entries
}
