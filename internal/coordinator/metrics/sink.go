package metrics

import "github.com/prometheus/client_golang/prometheus"

// sink is the channel that receives the series of one scrape.
type sink chan<- prometheus.Metric

func (out sink) gauge(d *prometheus.Desc, value float64, labels ...string) {
	out.send(d, prometheus.GaugeValue, value, labels)
}

func (out sink) counter(d *prometheus.Desc, value float64, labels ...string) {
	out.send(d, prometheus.CounterValue, value, labels)
}

// send sends one series. An invalid label makes the scrape fail, but causes no panic.
func (out sink) send(d *prometheus.Desc, t prometheus.ValueType, value float64, labels []string) {
	metric, err := prometheus.NewConstMetric(d, t, value, labels...)
	if err != nil {
		metric = prometheus.NewInvalidMetric(d, err)
	}
	out <- metric
}
