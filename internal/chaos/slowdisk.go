package chaos

import (
	"os/exec"
	"time"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

const (
	slowDiskTargets = 200
	slowDiskTime    = 10 * time.Second
	// slowDiskDelay is what every write to the disk takes longer.
	slowDiskDelay = 500 * time.Millisecond
)

// slowDisk delays every write of the coordinator to its disk. Flips must reach
// watchers as ever; registrations take longer, and are there.
func slowDisk(r *rig, v *Verdict) error {
	strace, err := exec.LookPath("strace")
	if err != nil {
		v.Skipped = "there is no strace to slow the disk with"
		return nil
	}
	if out, err := exec.Command(strace, "-f", "--seccomp-bpf", "-qq", "-e", "trace=fdatasync", "true").CombinedOutput(); err != nil {
		v.Skipped = "strace cannot trace here: " + lastLine(out)
		return nil
	}
	wrap := []string{
		strace, "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null",
		"-e", "trace=fdatasync,fsync", "-e", "inject=fdatasync,fsync:delay_enter=" + slowDiskDelay.String(),
	}
	if err := r.begin(settings{policy: undamped, wrap: wrap}); err != nil {
		return err
	}
	n := r.cfg.instances(slowDiskTargets)
	leased, static, err := r.halves(n)
	if err != nil {
		return err
	}
	l, err := r.newLoad(static)
	if err != nil {
		return err
	}
	r.say("%d targets are SERVING; they flip for %v while others register", n, slowDiskTime)
	stop := l.start(r.ctx)
	defer stop()
	if err := r.flipAll(Order{Turns: 3, Over: slowDiskTime}, leased, static); err != nil {
		return err
	}
	stop()
	return r.slowButRight(v, l, n)
}

// slowButRight judges the flips, and looks for what was registered.
func (r *rig) slowButRight(v *Verdict, l *load, n int) error {
	r.judge(v, n)
	began := time.Now()
	id := health.ID{Service: "last", Instance: "one"}
	err := r.register([]*pb.Registration{{Service: id.Service, Instance: id.Instance, Address: l.address, Static: true}})
	if err != nil {
		return err
	}
	took := time.Since(began)
	l.registered = append(l.registered, id)
	v.note("a registration took %v; %d and %d overrides were acknowledged", took.Round(10*time.Millisecond), len(l.registered), len(l.overridden))
	v.require(took >= slowDiskDelay, "a registration took %v, and so was not on the disk, whose writes take %v", took, slowDiskDelay)
	return r.keptAll(v, l)
}
