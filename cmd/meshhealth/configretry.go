package main

import (
	"go.yaml.in/yaml/v3"

	"github.com/meshhealth/meshhealth/coordinator/watch"
)

// readRetry reads a rule, and those of single methods.
func readRetry(r *watch.Retry) reader {
	known := retryFields(&r.RetryRule)
	known["methods"] = byName(watch.CheckRetryMethod, func(name string) reader {
		return func(p *problems, path string, n *yaml.Node) {
			var rule watch.RetryRule
			rounded(&rule, retryFields(&rule))(p, path, n)
			r.Methods = with(r.Methods, name, rule)
		}
	})
	return rounded(&r.RetryRule, known)
}

func retryFields(r *watch.RetryRule) fields {
	return fields{
		"attempts": count(&r.Attempts, watch.MaxRetryAttempts, false),
		"base":     duration(&r.Base, watch.LeastRetryBase, false),
		"cap":      duration(&r.Cap, watch.LeastRetryBase, false),
	}
}

// rounded reads a rule, and says so if its parts do not go together.
func rounded(r *watch.RetryRule, known fields) reader {
	return func(p *problems, path string, n *yaml.Node) {
		object(known)(p, path, n)
		if r.Base != 0 && r.Cap != 0 && r.Cap < r.Base {
			p.add(n.Line, join(path, "cap"), "%s is less than base, %s; allowed: as much or more", brief(r.Cap), brief(r.Base))
		}
	}
}
