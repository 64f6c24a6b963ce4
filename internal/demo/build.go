package demo

import "fmt"

// names are the names of the first services. The steps of the story change the first
// four.
var names = []string{"payments", "ledger", "search", "sessions", "mail", "catalog", "orders", "invoices"}

// The services that the steps change, as indexes of names.
const (
	slowService = iota
	frozenService
	killedService
	drainedService
	storyServices
)

func serviceName(n int) string {
	if n < len(names) {
		return names[n]
	}
	return fmt.Sprintf("service-%d", n+1)
}

func instanceName(n int) string { return string(rune('a' + n)) }

// buildMesh creates the backends and the instances. Only the backends run already.
func (d *demo) buildMesh() error {
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
				restarts: make(chan struct{}, 1),
			}
			// The steps stop the first instances of these services, so they run in
			// child processes.
			if n == 0 && s > slowService && s < storyServices {
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

// firstInstance returns the first instance of a service.
func (d *demo) firstInstance(service int) *instance { return d.instances[service*d.cfg.Instances] }

// findInstance returns the instance with this service and name, or nil if there is none.
func (d *demo) findInstance(service, name string) *instance {
	for _, i := range d.instances {
		if i.Service == service && i.Name == name {
			return i
		}
	}
	return nil
}
