package config

import (
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/meshhealth/meshhealth/coordinator"
	"github.com/meshhealth/meshhealth/internal/access"
)

// accessDifference says what differs between two access policies: names of rules and tokens, and keys.
type accessDifference struct {
	rules, tokens difference
	keys          []string
}

// difference has sorted names.
type difference struct{ added, removed, changed []string }

func differenceOf(was, is *coordinator.AccessPolicy) (d accessDifference) {
	d.rules = compare(rulesByName(was), rulesByName(is))
	d.tokens = compare(was.Tokens, is.Tokens)
	if was.TrustDomain != is.TrustDomain {
		d.keys = append(d.keys, "trust_domain")
	}
	if was.AllowDNSNames != is.AllowDNSNames {
		d.keys = append(d.keys, "allow_dns_names")
	}
	return d
}

func rulesByName(p *coordinator.AccessPolicy) map[string]*access.Rule {
	all := make(map[string]*access.Rule, len(p.Rules))
	for i := range p.Rules {
		all[p.Rules[i].Name] = &p.Rules[i]
	}
	return all
}

func compare[V any](was, is map[string]V) (d difference) {
	for name, v := range is {
		if before, there := was[name]; !there {
			d.added = append(d.added, name)
		} else if !reflect.DeepEqual(before, v) {
			d.changed = append(d.changed, name)
		}
	}
	for name := range maps.Keys(was) {
		if _, there := is[name]; !there {
			d.removed = append(d.removed, name)
		}
	}
	for _, names := range [][]string{d.added, d.removed, d.changed} {
		slices.Sort(names)
	}
	return d
}

func (d *difference) empty() bool { return len(d.added)+len(d.removed)+len(d.changed) == 0 }

func (d *accessDifference) empty() bool {
	return d.rules.empty() && d.tokens.empty() && len(d.keys) == 0
}

// attrs returns what differs, for a log record. It has names only, and no hash of a token.
func (d *accessDifference) attrs() (all []any) {
	for _, one := range []struct {
		key   string
		names []string
	}{
		{"rules_added", d.rules.added},
		{"rules_removed", d.rules.removed},
		{"rules_changed", d.rules.changed},
		{"tokens_added", d.tokens.added},
		{"tokens_removed", d.tokens.removed},
		{"tokens_changed", d.tokens.changed},
		{"keys_changed", d.keys},
	} {
		if len(one.names) > 0 {
			all = append(all, slog.String(one.key, someNames(one.names)))
		}
	}
	return all
}

// maxNamed is the largest number of names in one attribute of a log record.
const maxNamed = 20

func someNames(names []string) string {
	if len(names) <= maxNamed {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:maxNamed], ", "), len(names)-maxNamed)
}
