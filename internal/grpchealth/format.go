package grpchealth

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/compactjson"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// entriesField is the field number of WatchResponse.entries.
const entriesField = 4

// audiences has the audience of each level of detail.
var audiences = [...]feed.Audience{access.Hidden: feed.Public, access.Status: feed.Public, access.Reason: feed.Reasons, access.Evidence: feed.Full}

// encodingOf returns the encoding in a format for callers that see the same. Entries and
// batches keep their bytes in this encoding, so that all these callers share the bytes.
func encodingOf(format feed.Format, shown access.Shown) feed.Encoding {
	return feed.Encoding{Format: format, Audience: audiences[shown.Detail], Routes: shown.Routes}
}

// encodedEntry returns e encoded as an element of the field entries of a WatchResponse. All callers
// with the same format that see the same share the bytes.
func encodedEntry(e *feed.Entry, format feed.Format, shown access.Shown) []byte {
	return e.Encoded(encodingOf(format, shown), func(e *feed.Entry) []byte {
		return encodeHealth(format, entryHealth(e, e.At, shown))
	})
}

// filteredEntry returns the same for a caller that may not read every name. Callers share the bytes of
// instances that name no other service. An aggregate is encoded as it is now. The time of its last change may
// be that of a change which the caller cannot see.
func filteredEntry(e *feed.Entry, format feed.Format, shown access.Shown, visible func(service string) bool) []byte {
	at := e.At
	if e.ID.Aggregate() {
		at = time.Now()
	}
	encode := func(e *feed.Entry) []byte {
		h := entryHealth(e, at, shown)
		wire.Filter(h, visible)
		return encodeHealth(format, h)
	}
	if e.ID.Aggregate() || namesOthers(e) {
		return encode(e)
	}
	encoding := encodingOf(format, shown)
	encoding.Filtered = true
	return e.Encoded(encoding, encode)
}

// namesOthers reports whether an entry has the names of other services.
func namesOthers(e *feed.Entry) bool { return e.Root != "" || len(e.Dependencies) > 0 }

// entryHealth returns the message for an entry. Its ages are counted up to the time at.
func entryHealth(e *feed.Entry, at time.Time, shown access.Shown) *pb.Health {
	h := wire.Health(&e.State, at, shown)
	if e.Removed {
		h.Status = pb.Status_STATUS_SERVICE_UNKNOWN
	}
	return h
}

// encodeHealth returns h encoded as an element of the field entries of a WatchResponse.
func encodeHealth(format feed.Format, h *pb.Health) []byte {
	if format == feed.JSON {
		return encodeJSON(h)
	}
	size := proto.Size(h)
	b := make([]byte, 0, protowire.SizeTag(entriesField)+protowire.SizeBytes(size))
	b = protowire.AppendTag(b, entriesField, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(size))
	b, err := proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(b, h)
	if err != nil {
		// Marshal fails only for text that is not UTF-8, and all text was cleaned before.
		return nil
	}
	return b
}

// encodeJSON returns a comma and m in proto JSON, without spaces. The comma separates m from the
// element before it. If proto JSON cannot represent m, the element is {}: that happens for the same
// reason as in encodeHealth.
func encodeJSON(m proto.Message) []byte {
	b := compactjson.Append(append(make([]byte, 0, 1024), ','), m)
	return bytes.Clone(b) // entries keep the bytes, so they do not keep unused capacity
}

// The names in JSON of the repeated fields of a WatchResponse.
const (
	entriesName = "entries"
	figuresName = "figures"
)

// jsonMessage is a WatchResponse in the format JSON. The elements of its only repeated field are already
// encoded, each with a comma before it.
type jsonMessage struct {
	response *pb.WatchResponse
	field    string // entriesName or figuresName
	elements []byte // empty if the message has none
}

// AppendJSON appends the message in proto JSON to b.
func (j jsonMessage) AppendJSON(b []byte) []byte {
	m := j.response
	b = append(b, `{"epoch":"`...)
	b = strconv.AppendUint(b, m.GetEpoch(), 10)
	b = append(b, `","at":"`...)
	b = m.GetAt().AsTime().AppendFormat(b, time.RFC3339Nano)
	b = append(b, '"')
	if m.GetRevision() > 0 {
		b = append(b, `,"revision":"`...)
		b = strconv.AppendUint(b, m.GetRevision(), 10)
		b = append(b, '"')
	}
	for _, f := range [...]struct{ name, value string }{{"resumeToken", m.GetResumeToken()}, {"build", m.GetBuild()}} {
		if f.value != "" {
			b = append(b, `,"`+f.name+`":`...)
			b = appendText(b, f.value)
		}
	}
	for _, f := range [...]struct {
		name string
		set  bool
	}{{"snapshot", m.GetSnapshot()}, {"snapshotEnd", m.GetSnapshotEnd()}, {"gap", m.GetGap()}} {
		if f.set {
			b = append(b, `,"`+f.name+`":true`...)
		}
	}
	if len(j.elements) > 0 {
		b = append(b, `,"`+j.field+`":[`...)
		b = append(b, j.elements[1:]...)
		b = append(b, ']')
	}
	return append(b, '}')
}

func appendText(b []byte, text string) []byte {
	quoted, err := json.Marshal(text)
	if err != nil {
		return append(b, `""`...) // impossible, because every text can be encoded
	}
	return append(b, quoted...)
}
