package demo

import "strconv"

// defaultCoordinator is where commands look by themselves.
const defaultCoordinator = "127.0.0.1:7070"

// introduce says what runs here and what to try.
func (d *demo) introduce() {
	at := d.coordinator.Addr().String()
	flag := ""
	if at != defaultCoordinator {
		flag = " --coordinator " + at
	}
	d.say("%d services with %d instances each, and a coordinator at %s. From another terminal:", d.cfg.Services, d.cfg.Instances, at)
	d.say("")
	d.say("  meshhealth status%s", flag)
	d.say("  meshhealth status payments/a%s", flag)
	d.say("  meshhealth watch ledger%s", flag)
	d.say("  meshhealth history%s", flag)
	d.say("  grpcurl -plaintext -d '{\"service\":\"payments\"}' %s grpc.health.v1.Health/Watch", at)
	if web := d.coordinator.HTTPAddr(); web != nil {
		d.say("  curl -s http://%s/metrics | grep ^meshhealth_", web)
	}
	d.say("")
	if d.cfg.For > 0 {
		d.say("It ends after %v, or with Ctrl-C.", d.cfg.For)
	} else {
		d.say("The story repeats until Ctrl-C.")
	}
	d.say("")
}

// plural is a number and what it counts.
func plural(n int, what string) string { return strconv.Itoa(n) + " " + what }
