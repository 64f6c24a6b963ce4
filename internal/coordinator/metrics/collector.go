package metrics

import (
	"cmp"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
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
	m.xdsLatency.Describe(ch)
}

// Collect implements prometheus.Collector. The series of one scrape are from one revision of the
// feed. Only the transition counters and the latency histogram may be newer.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	v, out := viewOf(m.cfg.Feed.Cut()), sink(ch)
	v.collectTotals(out)
	instances, without := firstOf(v.entries[instance], m.cfg.MaxInstances)
	out.gauge(instancesOmitted, float64(without))
	services, withoutServices := firstOf(v.entries[service], m.cfg.MaxServices)
	zones, withoutZones := firstOf(v.entries[zone], m.cfg.MaxServices)
	parts, withoutParts := firstOf(v.entries[part], m.cfg.MaxServices)
	out.gauge(servicesOmitted, float64(withoutServices+withoutZones+withoutParts))
	for s, entries := range [numScopes][]*feed.Entry{
		self: v.entries[self], meshScope: v.entries[meshScope], service: services, zone: zones, part: parts, instance: instances,
	} {
		for _, e := range entries {
			out.statuses(scope(s), e)
		}
	}
	for _, e := range services {
		out.counts(serviceInstances, e.Counts, e.ID.Service)
	}
	v.collectTrouble(out, m.cfg.MaxServices)
	if m.cfg.Stats != nil {
		stats := m.cfg.Stats()
		stats.collect(out)
	}
	m.transitions.Collect(ch)
	m.latency.Collect(ch)
	m.xdsLatency.Collect(ch)
}

// collectTotals sends the sums over all services and instances. They include the services and
// instances without series of their own.
func (v *view) collectTotals(out sink) {
	var all health.Counts
	for _, e := range v.entries[service] {
		add(&all, e.Counts)
	}
	out.counts(meshInstances, &all)
	out.gauge(unconfirmed, float64(all.Unconfirmed))
	v.collectHeld(out)
	for _, e := range v.entries[meshScope] {
		out.counts(meshServices, e.Counts)
	}
	out.gauge(revision, float64(v.revision))
}

// add adds the counts c to the counts sum. It adds nothing if c is nil.
func add(sum, c *health.Counts) {
	if c == nil {
		return
	}
	for s := range c.By {
		sum.By[s] += c.By[s]
	}
	sum.Unconfirmed += c.Unconfirmed
}

// collectHeld sends the number of instances whose status a guard holds, and the number of instances
// whose status flap damping holds.
func (v *view) collectHeld(out sink) {
	by := map[health.Cause]int{health.CauseFlapping: 0, health.CauseGuarded: 0}
	for _, e := range v.entries[instance] {
		if e.Cause == health.CauseFlapping || e.Cause == health.CauseGuarded {
			by[e.Cause]++
		}
	}
	for cause, n := range by {
		out.gauge(held, float64(n), cause.String())
	}
}

// collectTrouble sends one series for each service in trouble, for limit services at most. It counts
// only services in trouble, so a service without status series can have this series.
func (v *view) collectTrouble(out sink, limit int) {
	for _, e := range v.entries[service] {
		if !e.Status.InTrouble() {
			continue
		}
		if limit--; limit < 0 {
			return
		}
		root := cmp.Or(e.Root, e.ID.Service)
		out.gauge(serviceTrouble, float64(e.Since.UnixMilli())/1000, e.ID.Service, e.Status.String(), causeLabel(e.Cause), root)
	}
}

// labelsOf returns the values of the metric labels for the name id, in the order in which families
// lists the labels.
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

// statuses sends the two metrics of one entry's status, for example instance_status and
// instance_state.
func (out sink) statuses(s scope, e *feed.Entry) {
	labels := labelsOf(s, e.ID)
	if value, is := e.Status.Metric(); is {
		out.gauge(families[s].status, value, labels...)
	}
	for _, state := range health.Statuses() {
		out.gauge(families[s].state, number(state == e.Status), append(labels[:len(labels):len(labels)], state.String())...)
	}
}

// counts sends the number of members in each state, as the metric d. It sends nothing if c is nil.
func (out sink) counts(d *prometheus.Desc, c *health.Counts, labels ...string) {
	if c == nil {
		return
	}
	for _, state := range health.Statuses() {
		out.gauge(d, float64(c.Of(state)), append(labels[:len(labels):len(labels)], state.String())...)
	}
}
