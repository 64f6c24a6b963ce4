package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
)

const namespace = "meshhealth"

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
}

// family holds the descriptions of two metrics, for example instance_status and instance_state.
type family struct{ status, state *prometheus.Desc }

func newFamily(name, what string, labels ...string) family {
	return family{
		status: desc(name+"_status", "Status of "+what+": 2 serving, 1 degraded, 0 not serving; absent for all other states.", labels...),
		state:  desc(name+"_state", "Whether "+what+" is in this state: 1 for one state, 0 for the others.", append(labels, "state")...),
	}
}

// families has one family of metrics for each scope, which is a kind of name such as instance.
// labelsOf returns the values of the labels that are listed here.
var families = [numScopes]family{
	self:      newFamily("coordinator", "the coordinator itself"),
	meshScope: newFamily("mesh", "the mesh as a whole"),
	service:   newFamily("service", "a service", "service"),
	zone:      newFamily("zone", "a zone of the mesh", "zone"),
	part:      newFamily("service_zone", "what a service has in a zone", "service", "zone"),
	instance:  newFamily("instance", "an instance", "service", "instance"),
}

var (
	serviceInstances = desc("service_instances", "Instances of a service, by state.", "service", "state")
	meshInstances    = desc("mesh_instances", "Instances of all services, by state.", "state")
	meshServices     = desc("mesh_services", "Services, by state.", "state")
	serviceTrouble   = desc("service_trouble_timestamp_seconds", "When a service in trouble got its status, in Unix time; absent for services that are not DEGRADED, NOT_SERVING or UNKNOWN. The root is the service itself if no other is known.", "service", "state", "cause", "root")
	unconfirmed      = desc("unconfirmed_instances", "Instances whose status is kept but cannot be confirmed at the moment.")
	held             = desc("held_instances", "Instances whose status is held: flapping, or guarded while half of the mesh or of a zone cannot be reached.", "cause")
	instancesOmitted = desc("instance_series_omitted", "Instances without series of their own, because there are more than the limit.")
	servicesOmitted  = desc("service_series_omitted", "Services, zones, and services in zones without series of their own, because there are more than the limit.")
	revision         = desc("revision", "Revision of the last change these metrics contain. It begins anew with every start.")
)

// The descriptions of the metrics whose values come from Stats.
var (
	watchers            = desc("watchers", "Open Watch streams.")
	followers           = desc("followers", "Instances being followed, by how.", "mode")
	storeWaiting        = desc("store_waiting_transitions", "Transitions that wait for the store.")
	storeLost           = desc("store_lost_transitions_total", "Transitions dropped because the store took too long. Statuses are not affected.")
	storeCommitAge      = desc("store_commit_age_seconds", "For how long the store's commit under way has taken; 0 if no longer than 2 s.")
	storeFailing        = desc("store_failing", "1 if the store refuses records, or if its commit under way has taken longer than 2 s.")
	insecureOpen        = desc("insecure_open", "1 if everybody may do everything, because of insecure_open; else 0.")
	accessFaults        = desc("access_policy_read_failures_total", "Times that the file of the access policy was read again and could not be used. The previous policy stays in use.")
	lateWakes           = desc("late_wakes_total", "Times the coordinator itself was late and moved all deadlines by as much.")
	score               = desc("health_score", "How badly the coordinator is itself, from 0 (well) to 7: it was late, or lost sight of unrelated services. Time-outs are longer by as many times.")
	guards              = desc("tripped_guards", "Mass-failure guards that are tripped: of the mesh, and of zones. What half of it vanishing would lower is held.")
	coverage            = desc("poll_coverage", "How much of what was to be polled within the last 30 s was, from 0 to 1. Below 1 everybody is asked less often than is configured, by as much.")
	breakers            = desc("target_breakers", "Addresses of instances by the state of their circuit breaker.", "state")
	retries             = desc("retries_total", "Calls to instances that were made again because they had been turned away.")
	retriesDenied       = desc("retries_denied_total", "Calls to instances that were turned away and not made again, because too many were.")
	flooding            = desc("flooding_instances", "Instances that sent more messages than their budget within the last minute.")
	logDropped          = desc("log_dropped_records_total", "Log records dropped because the log took them too slowly.")
	dropped             = desc("target_messages_dropped_total", "Messages of instances that were read and not used, because they were over the budget of their instance.")
	overrides           = desc("overrides", "Statuses that are forced by people: maintenance, and other overrides.")
	xdsStreams          = desc("xds_streams", "Open xDS streams, by rendering and protocol.", "kind")
	xdsBehind           = desc("xds_behind_resources", "Resources whose current version an xDS client has not acknowledged.")
	xdsResponses        = desc("xds_responses_total", "Responses sent to xDS clients.")
	xdsRejections       = desc("xds_rejections_total", "Responses that xDS clients have rejected. They keep what they had.")
	certificateLeft     = desc("certificate_remaining_seconds", "Seconds until the coordinator's own certificate of a section expires; negative once it has expired.", "section")
	certificateFailures = desc("certificate_read_failures_total", "Times that changed certificate files of a section were read and could not be used. The previous ones stay in use.", "section")
	lastLateWake        = desc("last_late_wake_timestamp_seconds", "When the coordinator itself was last late, in Unix time; absent if never.")
)

var constant = []*prometheus.Desc{
	serviceInstances, serviceTrouble, meshInstances, meshServices, unconfirmed, held, instancesOmitted, servicesOmitted, revision,
	watchers, followers, storeWaiting, storeLost, storeCommitAge, storeFailing, lateWakes, lastLateWake, guards, score,
	overrides, coverage, breakers, retries, retriesDenied, flooding, dropped, logDropped,
	xdsStreams, xdsBehind, xdsResponses, xdsRejections, certificateLeft, certificateFailures,
	insecureOpen, accessFaults,
}

func newTransitions() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: namespace, Name: "transitions_total",
		Help: "Changes of the status of instances; removals do not count.",
	}, []string{"cause", "to"})
}

func newLatency() prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: namespace, Name: "publish_latency_seconds",
		Help:    "Time from a change until it was published and the readers of the feed were woken.",
		Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
	})
}

func newXDSLatency() prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: namespace, Name: "xds_latency_seconds",
		Help:    "Time from the publication of a change until an xDS client has acknowledged it.",
		Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
	})
}
