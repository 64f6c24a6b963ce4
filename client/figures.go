package client

import (
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// Figures are the metrics of one instance at the time of an Update, see WatchOptions.FiguresEvery.
// They say nothing about its status.
type Figures struct {
	ID health.ID
	// Metrics is never nil. Do not modify it.
	Metrics *health.Metrics

	message *pb.Figures
}

// Proto returns the message from which the figures were made. The message must not be modified.
func (f *Figures) Proto() *pb.Figures { return f.message }

func figuresOf(messages []*pb.Figures) []Figures {
	figures := make([]Figures, 0, len(messages))
	for _, m := range messages {
		metrics := wire.MetricsFrom(m.GetMetrics())
		if metrics == nil {
			metrics = &health.Metrics{}
		}
		figures = append(figures, Figures{health.ID{Service: m.GetService(), Instance: m.GetInstance()}, metrics, m})
	}
	return figures
}
