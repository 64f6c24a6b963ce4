package demo

import "fmt"

// names has the names of the first services of the demo. Services after these have numbers as
// names.
var names = []string{"payments", "ledger", "search", "sessions", "mail", "catalog", "orders", "invoices"}

// The indexes in names of the services to which the steps of the demo happen.
const (
	slowService    = iota // the backend of the service becomes slow and refuses connections
	frozenService         // a process of the service is suspended and resumed
	killedService         // a process of the service is killed and started again
	drainedService        // a process of the service drains and is started again
	storyServices         // number of the services above
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
			// The steps suspend, kill or drain the first instance of these services.
			// Such an instance runs in a child process.
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
