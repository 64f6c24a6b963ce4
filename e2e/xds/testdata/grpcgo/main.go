// Command grpcgo makes calls with grpc-go over xDS, as the lines of stdin say. Its protocol is that of
// all drivers, see package xds.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	xdscreds "google.golang.org/grpc/credentials/xds"
	"google.golang.org/grpc/status"
	_ "google.golang.org/grpc/xds" // registers the scheme xds
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const (
	method = "/meshhealth.test.Namer/Name"
	// patience is the deadline of a call. A call that takes this long hangs.
	patience = 60 * time.Second
)

type command struct {
	Seq      int
	Do       string
	Target   string
	Secure   bool
	Count    int
	Inflight int
}

type answer struct {
	Seq      int            `json:"seq"`
	Backends map[string]int `json:"backends"`
	Errors   map[string]int `json:"errors"`
}

// channel is a channel to one target, and the counts of its continuous load.
type channel struct {
	conn    *grpc.ClientConn
	load    counts
	stopped atomic.Bool
	running sync.WaitGroup
}

type counts struct {
	mu               sync.Mutex
	backends, errors map[string]int
}

func (c *counts) add(name string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.backends == nil {
		c.backends, c.errors = map[string]int{}, map[string]int{}
	}
	if err != nil {
		s := status.Convert(err)
		c.errors[s.Code().String()+": "+s.Message()]++
		return
	}
	c.backends[name]++
}

func (c *counts) take(seq int) answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := answer{seq, c.backends, c.errors}
	c.backends, c.errors = nil, nil
	return a
}

func (ch *channel) call(c *counts) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var name wrapperspb.StringValue
	err := ch.conn.Invoke(ctx, method, &emptypb.Empty{}, &name)
	c.add(name.GetValue(), err)
}

func (ch *channel) calls(c command) answer {
	var made counts
	var left atomic.Int64
	left.Store(int64(c.Count))
	var wg sync.WaitGroup
	for range c.Inflight {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				ch.call(&made)
			}
		})
	}
	wg.Wait()
	return made.take(c.Seq)
}

func (ch *channel) execute(c command) answer {
	switch c.Do {
	case "calls":
		return ch.calls(c)
	case "start":
		for range c.Inflight {
			ch.running.Go(func() {
				for !ch.stopped.Load() {
					ch.call(&ch.load)
				}
			})
		}
		return answer{Seq: c.Seq}
	case "stop":
		ch.stopped.Store(true)
		ch.running.Wait()
	}
	return ch.load.take(c.Seq)
}

func open(c command) *channel {
	creds := insecure.NewCredentials()
	if c.Secure {
		var err error
		creds, err = xdscreds.NewClientCredentials(xdscreds.ClientOptions{FallbackCreds: insecure.NewCredentials()})
		fatal(err)
	}
	conn, err := grpc.NewClient(c.Target, grpc.WithTransportCredentials(credentials.TransportCredentials(creds)))
	fatal(err)
	return &channel{conn: conn}
}

func fatal(err error) {
	if err != nil {
		_, _ = os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
}

func main() {
	channels := map[string]*channel{}
	var writing sync.Mutex
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var c command
		fatal(json.Unmarshal(lines.Bytes(), &c))
		ch := channels[c.Target]
		if ch == nil {
			ch = open(c)
			channels[c.Target] = ch
		}
		go func() {
			text, _ := json.Marshal(ch.execute(c))
			writing.Lock()
			defer writing.Unlock()
			_, _ = os.Stdout.Write(append(text, '\n'))
		}()
	}
}
