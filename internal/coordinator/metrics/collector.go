package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/meshhealth/meshhealth/health"
)

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, f := range families {
		ch <- f.status
		ch <- f.state
	}
	for _, d := range constant {
		ch <- d
	}
	m.transitions.Describe(ch)
	m.latency.Describe(ch)
	m.gaps.Describe(ch)
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	v, out := m.model.view(), sink(ch)
	totals(out, &v)
	instances, leftOut := cut(v.rows[instance], m.cfg.MaxInstances)
	out.gauge(instancesOmitted, float64(leftOut))
	services, leftOut := cut(v.rows[service], m.cfg.MaxServices)
	zones, more := cut(v.rows[zone], m.cfg.MaxServices)
	parts, andMore := cut(v.rows[part], m.cfg.MaxServices)
	out.gauge(servicesOmitted, float64(leftOut+more+andMore))
	for s, all := range [numScopes][]row{
		self: v.rows[self], meshScope: v.rows[meshScope], service: services, zone: zones, part: parts, instance: instances,
	} {
		for i := range all {
			out.statuses(scope(s), &all[i])
		}
	}
	for i := range services {
		out.counts(serviceInstances, services[i].counts, services[i].id.Service)
	}
	if m.cfg.Stats != nil {
		stats := m.cfg.Stats()
		stats.collect(out)
	}
	m.transitions.Collect(ch)
	m.latency.Collect(ch)
	m.gaps.Collect(ch)
}

// totals sends the sums over all services and instances, including those without series
// of their own.
func totals(out sink, v *view) {
	var all health.Counts
	for i := range v.rows[service] {
		add(&all, v.rows[service][i].counts)
	}
	out.counts(meshInstances, &all)
	out.gauge(unconfirmed, float64(all.Unconfirmed))
	v.collectHeld(out)
	for i := range v.rows[meshScope] {
		out.counts(meshServices, v.rows[meshScope][i].counts)
	}
	out.gauge(revision, float64(v.revision))
}

func add(to, c *health.Counts) {
	if c == nil {
		return
	}
	for s := range c.By {
		to.By[s] += c.By[s]
	}
	to.Unconfirmed += c.Unconfirmed
}

// collectHeld sends the number of instances whose status a guard holds, and the number of
// those whose status flap damping holds.
func (v *view) collectHeld(out sink) {
	by := map[health.Cause]int{health.CauseFlapping: 0, health.CauseGuarded: 0}
	for i := range v.rows[instance] {
		if cause := v.rows[instance][i].cause; cause == health.CauseFlapping || cause == health.CauseGuarded {
			by[cause]++
		}
	}
	for cause, n := range by {
		out.gauge(held, float64(n), cause.String())
	}
}

// labelsOf returns the label values of a name, in the order of the labels in families.
func labelsOf(s scope, id health.ID) []string {
	switch s {
	case service:
		return []string{id.Service}
	case zone:
		name, _ := id.Zone()
		return []string{name}
	case part:
		name, _ := id.Zone()
		return []string{id.Service, name}
	case instance:
		return []string{id.Service, id.Instance}
	}
	return nil
}

// statuses sends the metrics status and state of one row.
func (out sink) statuses(s scope, r *row) {
	labels := labelsOf(s, r.id)
	if value, is := r.status.Metric(); is {
		out.gauge(families[s].status, value, labels...)
	}
	for _, state := range health.Statuses() {
		value := 0.0
		if state == r.status {
			value = 1
		}
		out.gauge(families[s].state, value, append(labels[:len(labels):len(labels)], state.String())...)
	}
}

// counts sends the number of members in each state. It sends nothing if c is nil.
func (out sink) counts(d *prometheus.Desc, c *health.Counts, labels ...string) {
	if c == nil {
		return
	}
	for _, state := range health.Statuses() {
		out.gauge(d, float64(c.Of(state)), append(labels[:len(labels):len(labels)], state.String())...)
	}
}
