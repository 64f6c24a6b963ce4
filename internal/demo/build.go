package demo

import (
	"net"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
)

// buildMesh starts the backends and the network, and opens the ports of the instances. It starts no
// instance.
func (d *demo) buildMesh() error {
	d.network = newNetwork()
	d.backends = map[string]*backend{}
	for _, name := range append(serviceNames(), flagServer) {
		b, err := newBackend()
		if err != nil {
			return err
		}
		d.backends[name] = b
	}
	var err error
	if d.cutCoordinator, err = d.network.forward(d.coordinator.Addr().String()); err != nil {
		return err
	}
	inStory := d.cfg.Instances
	if d.cfg.Storm {
		inStory = MinInstances
	}
	for n := range inStory {
		if err := d.buildInstance(n); err != nil {
			return err
		}
	}
	for _, i := range d.instances {
		i.Needs = d.needsOf(i)
	}
	if rest := d.cfg.Instances - inStory; rest > 0 {
		d.crowd, err = newCrowd(rest, d.reach)
	}
	return err
}

func serviceNames() []string {
	var names []string
	for _, n := range nodes {
		names = append(names, n.name)
	}
	return names
}

// buildInstance adds the instance with number n of all instances.
func (d *demo) buildInstance(n int) error {
	service := &nodes[n%len(nodes)]
	i := &instance{Instance: service.describe(n / len(nodes)), restarts: make(chan struct{}, 1)}
	i.Storage = d.backends[i.Service].address
	if i.Version == newVersion {
		i.Flags = d.backends[flagServer].address
	}
	i.Coordinator = d.coordinator.Addr().String()
	d.instances = append(d.instances, i)
	if i.ownProcess() {
		i.child = d.cfg.Child
		return nil
	}
	var err error
	if i.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return err
	}
	i.Coordinator, i.via, err = d.reach(i.Zone, i.listener.Addr().String())
	return err
}

// reach returns the address at which a zone reaches the coordinator, and the address at which the
// coordinator reaches a listener in the zone.
func (d *demo) reach(zone, listener string) (coordinator, via string, err error) {
	if zone != cutZone {
		return d.coordinator.Addr().String(), listener, nil
	}
	via, err = d.network.forward(listener)
	return d.cutCoordinator, via, err
}

// needsOf returns what an instance calls: of each service on which its service depends, the
// instance in the same zone. An instance in a child process is replaced by the next instance.
func (d *demo) needsOf(i *instance) []Need {
	var needs []Need
	n := findNode(i.Service)
	for _, name := range n.needs {
		needs = append(needs, Need{Service: name, Address: d.addressNear(name, i.Name)})
	}
	for _, name := range n.uses {
		needs = append(needs, Need{Service: name, Address: d.addressNear(name, i.Name), Soft: true})
	}
	return needs
}

// addressNear returns the address of the first instance of a service that has its own listener,
// from the instance with this name on.
func (d *demo) addressNear(service, name string) string {
	first := ""
	for _, i := range d.instances {
		switch {
		case i.Service != service || i.listener == nil:
		case i.Name >= name:
			return i.listener.Addr().String()
		case first == "":
			first = i.listener.Addr().String()
		}
	}
	return first
}

// closeMesh closes what buildMesh has opened.
func (d *demo) closeMesh() {
	d.network.close()
	for _, b := range d.backends {
		b.close()
	}
	for _, i := range d.instances {
		if i.listener != nil {
			_ = i.listener.Close() // also closed by the server of an instance that has run
		}
	}
	if d.crowd != nil {
		_ = d.crowd.close()
	}
}

// findInstance returns the instance with this name, such as search/a, or nil if there is none.
func (d *demo) findInstance(name string) *instance {
	for _, i := range d.instances {
		if i.fullName() == name {
			return i
		}
	}
	return nil
}

// publishedState returns the state that an instance publishes in its own server. It returns false
// for an instance in a child process.
func (d *demo) publishedState(id health.ID) (health.State, bool) {
	if i := d.findInstance(id.String()); i != nil {
		f := i.feed.Load()
		if f == nil {
			return health.State{}, false
		}
		return stateOf(f, id.Service)
	}
	if d.crowd == nil {
		return health.State{}, false
	}
	return d.crowd.published(id)
}

// stateOf returns the state that a feed has for a service. It returns false if the feed has no state
// for the service.
func stateOf(f *feed.Feed, service string) (health.State, bool) {
	e, ok := f.Get(health.ID{Service: service})
	if !ok {
		return health.State{}, false
	}
	return e.State, true
}
