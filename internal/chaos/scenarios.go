package chaos

// scenario is one thing that breaks registries.
type scenario struct {
	name, about string
	run         func(r *rig, v *Verdict) error
}

// scenarios are tried in this order.
var scenarios = []scenario{
	{"pause", "the coordinator is stopped for 10 s", pause},
	{"kill", "the coordinator is killed under load, and started again", kill},
	{"starve", "the coordinator gets every other tenth of a second only, for 30 s", starve},
	{"storm", "every target flips again and again", storm},
	{"blackhole", "half of the mesh is not to be heard any more", blackhole},
	{"silent", "two targets alone are not to be heard any more", silent},
	{"flap", "two targets cannot make up their minds", flap},
	{"slowdisk", "the coordinator's disk is slow", slowDisk},
	{"slowwatcher", "some watchers stop reading", slowWatcher},
	{"deploy", "100 services of 20 are deployed anew", deploy},
	{"scale", "a service grows from 3 to 30, and then to none", scale},
}
