package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"k8s.io/klog/v2"

	"github.com/meshhealth/meshhealth/certs"
	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/coordinator/config"
	"github.com/meshhealth/meshhealth/internal/wire"
	"github.com/meshhealth/meshhealth/kube/internal/cluster"
	"github.com/meshhealth/meshhealth/kube/internal/writer"
)

// serve runs until ctx ends.
func serve(ctx context.Context, s *settings, out io.Writer) error {
	log := logger(s, out)
	klog.SetSlogLogger(slog.New(slog.DiscardHandler)) // the packages here say the same in their own words
	mesh, closeMesh, err := dial(s, log)
	if err != nil {
		return fmt.Errorf("--coordinator: %w", err)
	}
	defer closeMesh()
	source := "kube-" + s.cluster
	c, err := cluster.New(cluster.Config{Kubeconfig: s.kubeconfig, Namespace: s.namespace, Source: source, Agent: "meshhealth-kube"})
	if err != nil {
		return fmt.Errorf("--kubeconfig: %w", err)
	}
	registry := prometheus.NewRegistry()
	metrics := writer.NewMetrics(registry)
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	cfg := writer.Config{
		Mesh: mesh, Cluster: c, Log: log, Metrics: metrics, Source: source,
		WorkloadEntries: s.entries, NewPodsWhenBlind: s.newPods,
	}
	closeHTTP, err := serveHTTP(s.http, registry, metrics, log)
	if err != nil {
		return fmt.Errorf("--http: %w", err)
	}
	defer closeHTTP()
	log.Info("started", "coordinator", s.coordinator, "source", source, "workload_entries", s.entries, "leader_elect", s.elect)
	lead := func(ctx context.Context) { writer.Run(ctx, cfg) }
	if s.elect {
		lease := cluster.Lease{Namespace: s.leaseNamespace, Name: s.lease, Identity: s.identity, Duration: s.leaseDuration}
		err = c.Lead(ctx, lease, log, lead)
	} else {
		lead(ctx)
	}
	log.Info("stopped")
	return err
}

func logger(s *settings, out io.Writer) *slog.Logger {
	o := &slog.HandlerOptions{Level: s.level}
	if s.logFormat == "text" {
		return slog.New(slog.NewTextHandler(out, o))
	}
	return slog.New(slog.NewJSONHandler(out, o))
}

// dial returns a client of the coordinator.
func dial(s *settings, log *slog.Logger) (*client.Client, func(), error) {
	cfg := client.Config{Coordinator: s.coordinator, Insecure: s.insecure, Logger: log}
	closeFiles := func() {}
	if !s.insecure && (s.tls != (config.TLS{}) || !wire.IsLoopback(s.coordinator)) {
		source, err := s.tls.Open(certs.Options{Logger: log})
		if err != nil {
			return nil, nil, err
		}
		cfg.Credentials, closeFiles = source.Client(s.tls.Dial()), source.Close
	}
	c, err := client.New(cfg)
	if err != nil {
		closeFiles()
		return nil, nil, err
	}
	return c, func() { _ = c.Close(); closeFiles() }, nil
}

// serveHTTP serves /metrics and /healthz.
func serveHTTP(address string, registry *prometheus.Registry, metrics *writer.Metrics, log *slog.Logger) (closeHTTP func(), err error) {
	if address == off {
		return func() {}, nil
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if metrics.Stuck(time.Now()) {
			http.Error(w, "the writer does not work any more; restart it", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second}
	var served sync.WaitGroup
	served.Go(func() {
		if err := server.Serve(listener); err != http.ErrServerClosed {
			log.Error("the HTTP server has ended; restart this program", "err", err)
		}
	})
	log.Info("serves metrics and health", "address", listener.Addr().String())
	return func() { _ = server.Close(); served.Wait() }, nil
}
