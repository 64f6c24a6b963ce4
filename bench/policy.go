package main

import (
	"context"
	"fmt"
	"time"

	"github.com/meshhealth/meshhealth/coordinator"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/server"
)

// policyRules is the number of rules of the access policy in benchPolicy.
const policyRules = 200

// largePolicy returns an access policy whose rules all hold for a caller without an identity. The last one allows
// everything that the benchmarks need.
func largePolicy() *coordinator.AccessPolicy {
	p := &coordinator.AccessPolicy{}
	for i := range policyRules - 1 {
		of := []string{fmt.Sprintf("team%d.*", i), fmt.Sprintf("team%d", i)}
		p.Rules = append(p.Rules, access.Rule{
			Name: of[1], Who: []string{"anyone"}, Read: &access.Read{Services: of, Detail: access.Reason},
			Route: &access.Services{Services: of}, Register: &access.Register{Services: of, Peer: true},
		})
	}
	all := []string{"*"}
	p.Rules = append(p.Rules, access.Rule{
		Name: "all", Who: []string{"anyone"}, Read: &access.Read{Services: all, Detail: access.Evidence},
		Route: &access.Services{Services: all}, Register: &access.Register{Services: all, Peer: true},
	})
	return p
}

// benchPolicy compares a coordinator that has a policy with policyRules rules with one that has none: the time from a
// change of a status until one watcher, and the last of 1,000 watchers, has received it. Both take turns.
func benchPolicy(ctx context.Context, o *options, r *report) error {
	rig := newRig(ctx)
	defer rig.close()
	n := o.size(1000, 10)
	var flips [2]*flipped
	var services [2]*server.Server
	var crowds [2]chan seen
	for i, policy := range []*coordinator.AccessPolicy{largePolicy(), nil} {
		at, err := rig.coordinatorWith(policy)
		if err != nil {
			return err
		}
		if flips[i], err = rig.twoHopsAt(at); err != nil {
			return err
		}
		if services[i], err = rig.service(at, "orders", "a"); err != nil {
			return err
		}
		if crowds[i], err = rig.crowd(at, "orders", n); err != nil {
			return err
		}
	}
	var one, many []float64
	var took, last [2]times
	for range o.rounds {
		took, last = [2]times{}, [2]times{}
		for i := range o.size(10_000, 100) {
			for k := range flips {
				d, err := rig.timeFlip(flips[(i+k)%2], i)
				if err != nil {
					return err
				}
				took[(i+k)%2] = append(took[(i+k)%2], d)
			}
		}
		for i := range o.size(30, 4) {
			to, _, want := side(i)
			for k := range services {
				k = (i + k) % 2
				began := time.Now()
				if err := services[k].SetStatus(to, ""); err != nil {
					return err
				}
				at, err := rig.waitForLast(crowds[k], want, n)
				if err != nil {
					return err
				}
				last[k] = append(last[k], at.Sub(began))
			}
		}
		one = append(one, over(took[0].quantile(.5), took[1].quantile(.5)))
		many = append(many, over(last[0].quantile(.5), last[1].quantile(.5)))
	}
	r.ratio("flip, two hops, with a policy of 200 rules / without a policy, p50", one, 1.05)
	r.figure("… with, without, p50", inMicros(.5, took[:]...), "", true)
	r.ratio("last of 1,000 watchers, with a policy of 200 rules / without a policy", many, 1.05)
	r.figure("… with, without, p50", inMicros(.5, last[:]...), "", true)
	return nil
}
