package resolver

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	grpcresolver "google.golang.org/grpc/resolver"

	"github.com/meshhealth/meshhealth/internal/fields"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// Scheme is the scheme of the targets that a Resolver resolves, as in meshhealth:///payments.
const Scheme = "meshhealth"

// target is what the target of a channel says.
type target struct {
	service      string
	zone, region string
	byWeights    bool // the policy of the channel reads weights
}

// The keys of the query of a target, and the values of shareKey.
const (
	zoneKey   = "zone"
	regionKey = "region"
	shareKey  = "share"

	shareSubset  = "subset"
	shareWeights = "weights"
)

// parse returns what t says. parsed has the defaults.
func parse(t *grpcresolver.Target, parsed target) (target, error) {
	var errs fields.Errors
	parsed.service = t.Endpoint()
	if t.URL.Host != "" {
		errs.Addf("authority", "is %q; allowed: none, as in %s:///payments", t.URL.Host, Scheme)
	}
	errs.Add("service", wire.CheckService(parsed.service))
	query, err := url.ParseQuery(t.URL.RawQuery)
	errs.Add("query", err)
	for _, key := range slices.Sorted(maps.Keys(query)) {
		errs.Add(key, parsed.set(key, query[key]))
	}
	return parsed, errs.Join()
}

// set sets what one key of the query says.
func (t *target) set(key string, values []string) error {
	if len(values) != 1 {
		return fmt.Errorf("is set %d times; allowed: once", len(values))
	}
	value := values[0]
	switch key {
	case zoneKey:
		t.zone = value
		return wire.CheckZone(value)
	case regionKey:
		t.region = value
		return wire.CheckZone(value)
	case shareKey:
		t.byWeights = value == shareWeights
		if value != shareWeights && value != shareSubset {
			return fmt.Errorf("is %q; allowed: %s, %s", value, shareSubset, shareWeights)
		}
		return nil
	}
	return fmt.Errorf("is no key of a target; allowed: %s", strings.Join([]string{zoneKey, regionKey, shareKey}, ", "))
}
