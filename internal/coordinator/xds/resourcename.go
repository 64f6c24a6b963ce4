package xds

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/meshhealth/meshhealth/internal/wire"
)

// maxResourceName is the largest number of bytes of a resource name. It has room for the longest
// name of a service in the form xdstp://AUTHORITY/TYPE/SERVICE:PORT.
const maxResourceName = 1024

const xdstp = "xdstp://"

// resourceName is a resource name in its parts.
type resourceName struct {
	service string
	// authority is the text after "xdstp:" up to the type, such as "//mesh". It is empty for a name
	// without a scheme.
	authority string
}

// parseName parses the name of a resource: SERVICE, SERVICE:PORT, or xdstp://AUTHORITY/TYPE/ and one
// of these. ok is false if no service can have this name.
func parseName(k kind, name string) (n resourceName, ok bool) {
	if k == unknownKind {
		return n, false
	}
	if rest, is := strings.CutPrefix(name, xdstp); is {
		authority, path, _ := strings.Cut(rest, "/")
		typ, id, found := strings.Cut(path, "/")
		id, err := url.PathUnescape(id)
		if !found || err != nil || typ != messageNames[k] {
			return n, false
		}
		n.authority, name = xdstp+authority, id
	}
	service, port, found := strings.Cut(name, ":")
	if found && !validPort(port) {
		return n, false
	}
	n.service = service
	return n, wire.CheckService(service) == nil
}

func validPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0
}

// of returns the name of the resource of another kind for the same service. A client asks the same
// authority for it.
func (n resourceName) of(k kind) string {
	if n.authority == "" {
		return n.service
	}
	return n.authority + "/" + messageNames[k] + "/" + n.service
}
