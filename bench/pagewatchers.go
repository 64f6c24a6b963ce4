package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/meshhealth/meshhealth/coordinator"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/server"
)

func servePages(ctx context.Context) error {
	c, err := coordinator.New(ctx, coordinator.Config{
		Listen: "127.0.0.1:0", HTTP: "127.0.0.1:0", TargetBudget: coordinator.Off, Policy: undamped, MaxConnsPerPeer: 10_000,
	})
	if err != nil {
		return err
	}
	fmt.Println(c.Addr(), c.HTTPAddr())
	return c.Run(ctx)
}

// benchPageWatchers compares the CPU time that a coordinator needs for 1,000 Watches of everything by
// pages, which speak Connect with JSON, and by gRPC clients. Each Watch has a connection of its own.
func benchPageWatchers(ctx context.Context, o *options, r *report) error {
	home := newRig(ctx)
	defer home.close()
	p, err := home.process("pages")
	if err != nil {
		return err
	}
	at, httpAt, ok := strings.Cut(p.at, " ")
	if !ok {
		return fmt.Errorf("the coordinator prints %q", p.at)
	}
	b := &pageBench{process: p, n: o.size(1000, 10), flips: o.size(20, 4)}
	for i := range 8 {
		s, err := home.service(at, "payments", string(rune('a'+i)))
		if err != nil {
			return err
		}
		b.services = append(b.services, s)
	}
	var ratios []float64
	var each [2]time.Duration
	for range o.rounds {
		for i, open := range []func(*rig, func(*pb.WatchResponse, []byte)) error{
			func(crowd *rig, got func(*pb.WatchResponse, []byte)) error { return crowd.watchGRPC(at, got) },
			func(crowd *rig, got func(*pb.WatchResponse, []byte)) error { return crowd.watchPage(httpAt, got) },
		} {
			if each[i], err = b.measure(ctx, open); err != nil {
				return err
			}
		}
		ratios = append(ratios, over(each[1], each[0]))
	}
	r.ratio("CPU of the coordinator for 1,000 watchers over Connect with JSON / over gRPC", ratios, 1.2)
	r.figure("… for one flip of 8 instances and 1,000 watchers, Connect, gRPC", fmt.Sprintf("%.1f ms, %.1f ms", each[1].Seconds()*1e3, each[0].Seconds()*1e3), "", true)
	return nil
}

// pageBench measures one coordinator with a crowd of watchers.
type pageBench struct {
	process  *process
	services []*server.Server
	n, flips int
}

// measure opens the Watches and returns the CPU time of the coordinator for one flip of all services.
func (b *pageBench) measure(ctx context.Context, open func(*rig, func(*pb.WatchResponse, []byte)) error) (time.Duration, error) {
	crowd := newRig(ctx)
	defer crowd.close()
	c := &pageCrowd{services: len(b.services), all: make(chan struct{}, b.n)}
	c.want.Store("STATUS_SERVING")
	for range b.n {
		if err := open(crowd, c.watcher()); err != nil {
			return 0, err
		}
	}
	if err := crowd.await(c.all, b.n); err != nil {
		return 0, err
	}
	before, err := b.process.cpu()
	if err != nil {
		return 0, err
	}
	for i := range b.flips {
		to, _, number := side(i)
		c.want.Store(pb.Status(number).String())
		for _, s := range b.services {
			if err := s.SetStatus(to, ""); err != nil {
				return 0, err
			}
		}
		if err := crowd.await(c.all, b.n); err != nil {
			return 0, err
		}
	}
	after, err := b.process.cpu()
	return (after - before) / time.Duration(b.flips), err
}

// await waits until n watchers have seen what they wait for.
func (r *rig) await(all <-chan struct{}, n int) error {
	for range n {
		select {
		case <-all:
		case err := <-r.fails:
			return err
		case <-r.ctx.Done():
			return r.ctx.Err()
		}
	}
	return nil
}

// pageCrowd is all watchers of a measurement. A watcher sends to the channel all when it has seen
// each instance with the status want.
type pageCrowd struct {
	services int
	want     atomic.Value // string
	all      chan struct{}
}

// watcher returns a function that receives each message of one Watch, as a message or as JSON.
func (c *pageCrowd) watcher() func(*pb.WatchResponse, []byte) {
	is, told := map[string]string{}, ""
	return func(m *pb.WatchResponse, text []byte) {
		for _, e := range m.GetEntries() {
			if e.GetService() == "payments" && e.GetInstance() != "" {
				is[e.GetInstance()] = e.GetStatus().String()
			}
		}
		const entry = `"service":"payments","instance":"`
		for _, part := range bytes.Split(text, []byte(entry))[1:] {
			instance, rest, _ := bytes.Cut(part, []byte(`","status":"`))
			status, _, _ := bytes.Cut(rest, []byte(`"`))
			is[string(instance)] = string(status)
		}
		want := c.want.Load().(string)
		if told == want || len(is) < c.services {
			return
		}
		for _, s := range is {
			if s != want {
				return
			}
		}
		told = want
		c.all <- struct{}{}
	}
}

// watchGRPC opens a Watch of everything on a connection of its own.
func (r *rig) watchGRPC(at string, got func(*pb.WatchResponse, []byte)) error {
	conn, err := r.dial(at)
	if err != nil {
		return err
	}
	stream, err := pb.NewHealthServiceClient(conn).Watch(r.ctx, &pb.WatchRequest{})
	if err != nil {
		return err
	}
	r.start(func() error {
		for {
			m, err := stream.Recv()
			if err != nil {
				return err
			}
			got(m, nil)
		}
	})
	return nil
}

// pageWatch is the request of a page: five bytes with flags and the length, and the message.
var pageWatch = append([]byte{0, 0, 0, 0, 36}, `{"selector":{"noServiceZones":true}}`...)

// watchPage opens a Watch with the protocol Connect over HTTP/1.1, as a page in a browser does.
func (r *rig) watchPage(at string, got func(*pb.WatchResponse, []byte)) error {
	conn, err := net.Dial("tcp", at)
	if err != nil {
		return err
	}
	r.undo = append(r.undo, func() { _ = conn.Close() })
	req, err := http.NewRequestWithContext(r.ctx, http.MethodPost, "http://"+at+pb.HealthService_Watch_FullMethodName, bytes.NewReader(pageWatch))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/connect+json")
	if err := req.Write(conn); err != nil {
		return err
	}
	r.start(func() error {
		resp, err := http.ReadResponse(bufio.NewReader(conn), req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("a Watch over HTTP was refused: %s", resp.Status)
		}
		for frame := make([]byte, 5); ; {
			if _, err := io.ReadFull(resp.Body, frame); err != nil {
				return err
			}
			text := make([]byte, binary.BigEndian.Uint32(frame[1:]))
			if _, err := io.ReadFull(resp.Body, text); err != nil {
				return err
			}
			got(nil, text)
		}
	})
	return nil
}
