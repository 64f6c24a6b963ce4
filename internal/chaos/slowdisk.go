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
	// slowDiskDelay is the time by which strace delays every sync of the coordinator's disk.
	slowDiskDelay = 500 * time.Millisecond
)

// slowDisk is a scenario. It delays every sync of the coordinator's disk. Changes of states must
// be published within the usual bounds. Registrations take longer, but must not be lost.
func slowDisk(r *rig, v *Verdict) error {
	strace, err := exec.LookPath("strace")
	if err != nil {
		v.Skipped = "strace, which slows the disk, is not installed"
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
	if err := r.start(settings{policy: undamped, wrap: wrap}); err != nil {
		return err
	}
	n := r.cfg.instances(slowDiskTargets)
	leased, static, err := r.hostLeasedAndStatic(n)
	if err != nil {
		return err
	}
	l, err := newLoad(r, static)
	if err != nil {
		return err
	}
	r.progress("%d targets are SERVING; they flip for %v while other targets register", n, slowDiskTime)
	stop, err := l.start(r.ctx)
	if err != nil {
		return err
	}
	defer stop()
	if err := r.flipAll(Command{Turns: 3, Duration: slowDiskTime}, leased, static); err != nil {
		return err
	}
	stop()
	return requireStored(r, v, l, n)
}

// requireStored compares the published states with the true states of the targets. It requires that
// a registration waits for the disk, and that all acknowledged registrations exist.
func requireStored(r *rig, v *Verdict, l *load, n int) error {
	r.countErrors(v, n)
	began := time.Now()
	id := health.ID{Service: "last", Instance: "one"}
	err := r.register([]*pb.Registration{{Service: id.Service, Instance: id.Instance, Address: l.address, Static: true}})
	if err != nil {
		return err
	}
	took := time.Since(began)
	l.registered = append(l.registered, id)
	v.note("a registration took %v; %d registrations and overrides were acknowledged during the flips", took.Round(10*time.Millisecond), l.acknowledged)
	v.require(took >= slowDiskDelay, "a registration took %v and did not wait for the disk; a sync takes %v", took, slowDiskDelay)
	return r.requireAcknowledged(v, l)
}
