package demo

import "fmt"

// names are those of the first services; the story is about four of them.
var names = []string{"payments", "ledger", "search", "sessions", "mail", "catalog", "orders", "invoices"}

// The services of the story, by their place in names.
const (
	slowService = iota
	frozenService
	killedService
	drainedService
	actors
)

func serviceName(n int) string {
	if n < len(names) {
		return names[n]
	}
	return fmt.Sprintf("service-%d", n+1)
}

func instanceName(n int) string { return string(rune('a' + n)) }

// build makes the backends and instances. Nothing runs but the backends.
func (d *demo) build() error {
	at := d.coordinator.Addr().String()
	for s := range d.cfg.Services {
		b, err := newBackend()
		if err != nil {
			d.closeBackends()
			return err
		}
		d.backends = append(d.backends, b)
		for n := range d.cfg.Instances {
			i := &instance{
				Instance: Instance{
					Service: serviceName(s), Name: instanceName(n), Backend: b.address, Coordinator: at,
					Zone: "zone-" + instanceName(n%3),
				},
				again: make(chan struct{}, 1),
			}
			// The first instances of some services have accidents.
			if n == 0 && s > slowService && s < actors {
				i.child = d.cfg.Child
			}
			d.instances = append(d.instances, i)
		}
	}
	return nil
}

func (d *demo) closeBackends() {
	for _, b := range d.backends {
		_ = b.close()
	}
}

// actor is the first instance of a service.
func (d *demo) actor(service int) *instance { return d.instances[service*d.cfg.Instances] }

// find returns the instance of this name, nil if it is not ours.
func (d *demo) find(service, name string) *instance {
	for _, i := range d.instances {
		if i.Service == service && i.Name == name {
			return i
		}
	}
	return nil
}
