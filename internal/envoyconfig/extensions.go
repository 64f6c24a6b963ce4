package envoyconfig

// Messages of the type Any can be parsed and validated only if their types are linked in. A bootstrap
// for calls needs these types, and those that advice.go imports.
import (
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
)
