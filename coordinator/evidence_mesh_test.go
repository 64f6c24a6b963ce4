package coordinator_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/coordinator"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

// TestRecurringLateness: the owner does not run for 2 s of every 6 s. Silent targets are
// nevertheless suspected and then NOT_SERVING within bounds, and live targets stay SERVING
// and confirmed.
func TestRecurringLateness(t *testing.T) {
	kinds := map[string]func(r *rig, address string){
		"embedded": func(r *rig, address string) { r.embedded(address, "pay") },
		"stock":    func(r *rig, address string) { r.stock(address, []string{"pay"}) },
		"polled":   func(r *rig, address string) { r.serve(address, newStub().register) },
	}
	bubbleWith(t, "lateness", func(c *coordinator.Config) {
		c.Policy.FlapHalfLife = -1 // its changes delay the owner
	}, func(r *rig) {
		beat, _ := r.embedded("127.0.0.1:9300", "beat")
		r.lease(&pb.Registration{Service: "beat", Instance: "a", Address: "127.0.0.1:9300", Static: true})
		silent, port := map[string]string{}, 9400
		for kind, run := range kinds {
			for _, lives := range []string{"lives", "falls-silent"} {
				address := fmt.Sprint("127.0.0.1:", port)
				port++
				run(r, address)
				r.lease(&pb.Registration{Service: "pay", Instance: kind + "-" + lives, Address: address, Static: true})
				if lives == "falls-silent" {
					silent[kind] = address
				}
			}
		}
		r.after(time.Minute)
		since := time.Now()
		r.stalls.begin(2*time.Second, 6*time.Second)
		for _, address := range silent {
			r.net.Hang(address)
		}
		for i := range 20 {
			r.set(beat, []health.Status{health.NotServing, health.Serving}[i%2])
			r.after(6 * time.Second)
			if age := r.state().GetForgivenAge(); age == nil || age.AsDuration() > 6*time.Second {
				r.t.Fatalf("the owner was not late: %v", age)
			}
		}
		for kind := range kinds {
			name := "pay/" + kind + "-falls-silent"
			r.between(kind+": unconfirmed", r.when(name, since, "SERVING ok unconfirmed"), time.Second, 2*unreachableAfter)
			r.between(kind+": given up", r.first(name, since, "given up", func(p published) bool {
				return p.GetStatus() == pb.Status_STATUS_NOT_SERVING || p.GetStatus() == pb.Status_STATUS_UNKNOWN
			}), unreachableAfter, 4*unreachableAfter)
			r.only("pay/"+kind+"-lives", since, "SERVING ok")
		}
	})
}

// TestAddressReuse: leased instances are killed, and other servers start at their addresses.
// The answers of those servers make no instance routable.
func TestAddressReuse(t *testing.T) {
	others := map[string]func(r *rig, address string){
		"a stock server":       func(r *rig, address string) { r.stock(address, nil) },
		"one with Check only":  func(r *rig, address string) { r.serve(address, newStub().register) },
		"another service":      func(r *rig, address string) { r.joined("cart", "new", address, true) },
		"another instance":     func(r *rig, address string) { r.joined("pay", "new", address, true) },
		"another, without key": func(r *rig, address string) { r.joined("pay", "new", address, false) },
	}
	for what, other := range others {
		for _, feed := range []bool{true, false} {
			bubble(t, fmt.Sprintf("%s/with a feed %t", what, feed), func(r *rig) {
				kill := r.joined("pay", "old", at, feed)
				r.joined("pay", "living", "127.0.0.1:9002", feed)
				r.after(time.Minute)
				r.is("pay/old", "SERVING ok")
				r.is("pay", "SERVING ok")
				kill()
				other(r, at)
				r.after(2 * time.Minute)
				r.is("pay/old", "NOT_SERVING lease_expired")
				r.is("pay/living", "SERVING ok")
				r.is("pay", "DEGRADED warned")
				if c := r.now("pay").GetCounts(); c.GetNotServing() != 1 {
					r.t.Errorf("the service has %v", c)
				}
				ended := time.Now()
				r.after(7 * time.Minute)
				r.only("pay/old", ended, "NOT_SERVING lease_expired")
			})
		}
	}
}

// joined runs a process that serves and renews its own lease: it embeds our server, or is a
// stock server whose client has no feed. kill ends the server and the client.
func (r *rig) joined(service, instance, address string, feed bool) (kill func()) {
	i := client.Instance{Service: service, Instance: instance, Address: address}
	var stop func()
	if feed {
		s, stopped := r.embedded(address, service)
		i.Feed, stop = s.Feed(), stopped
	} else {
		_, stop = r.stock(address, []string{service})
	}
	leave := r.join(i)
	return func() { leave(); stop() }
}
