package wire

import (
	"encoding/base64"

	"github.com/meshhealth/meshhealth/health"
)

const pagePrefix = "p1:"

// maxPageToken: a full name in base64.
const maxPageToken = 4 + (MaxFullName+len(pagePrefix))*4/3

// PageToken returns the token of the page after id.
func PageToken(id health.ID) string {
	return base64.RawURLEncoding.EncodeToString([]byte(pagePrefix + id.String()))
}

// pageToken reads a token; first means there is none.
func pageToken(v *Violations, token string) (after health.ID, first bool) {
	if token == "" {
		return health.ID{}, true
	}
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(token) > maxPageToken || len(b) < len(pagePrefix) || string(b[:len(pagePrefix)]) != pagePrefix {
		v.Add("page_token", "is not one that was handed out")
		return health.ID{}, true
	}
	return health.ParseID(string(b[len(pagePrefix):])), false
}
