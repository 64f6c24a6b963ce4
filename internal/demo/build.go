package demo

import "fmt"

// names has the names of the first eight services of the demo. The ninth service is service-9.
var names = []string{"payments", "ledger", "search", "sessions", "mail", "catalog", "orders", "invoices"}

// The services in which the demo causes faults, as indexes of names.
const (
	slowService    = iota // the backend of this service becomes slow and refuses connections
	frozenService         // a process of this service is suspended and resumed
	killedService         // a process of this service is killed and started again
	drainedService        // a process of this service drains and is started again
	storyServices         // number of the services in which the demo causes faults
)

func serviceName(n int) string {
	if n < len(names) {
		return names[n]
	}
	return fmt.Sprintf("service-%d", n+1)
}

func instanceName(n int) string { return string(rune('a' + n)) }

// buildMesh starts the backends, and creates the instances without starting them.
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
			// The demo suspends, kills or drains the first instance of the services
			// frozenService, killedService and drainedService. Such an instance runs
			// in a child process.
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

// firstInstance returns the first instance of the service with this index.
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
