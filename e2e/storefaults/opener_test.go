//go:build e2e || soak

package storefaults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/meshhealth/meshhealth/coordinator/store/bolt"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/audit"
)

// openerEnv makes the child open damaged files: for each line that it reads, which is a job, it writes a line,
// which is a result.
const openerEnv = "MESHHEALTH_STOREFAULTS_OPENER"

// job names what an opener shall open.
type job struct {
	Dir    string // data folder of a coordinator, or folder of an audit log
	Audit  bool
	Before time.Time   // later transitions are left out
	Noted  audit.Noted // last line of the audit log before it was damaged
}

// result is what an opener found.
type result struct {
	Refused bool     // the store was refused as it should be
	Error   string   // of a refusal, or what went wrong
	Content string   // everything that a coordinator with this store answers
	Failing []string // instances that are NOT_SERVING
	Audit   auditResult
}

// openAll executes jobs until there are no more.
func openAll(in io.Reader, out io.Writer) error {
	answers := json.NewEncoder(out)
	for jobs := json.NewDecoder(in); ; {
		var j job
		if err := jobs.Decode(&j); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		var r *result
		if j.Audit {
			r = j.openAudit()
		} else {
			r = j.openStore()
		}
		if err := answers.Encode(r); err != nil {
			return err
		}
	}
}

// refusals are the errors with which a store may be refused.
var refusals = []error{bolt.ErrNotAFile, bolt.ErrEmpty, bolt.ErrForeign, bolt.ErrNewerFormat, bolt.ErrDamaged}

// openStore starts a coordinator with the store, and asks it for everything. No instance can be reached.
func (j *job) openStore() *result {
	r := &result{}
	hangs := func(ctx context.Context, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
	err := withCoordinator(j.Dir, hangs, func(conn *grpc.ClientConn) error { return j.askAll(conn, r) })
	if err == nil {
		return r
	}
	r.Error = err.Error()
	for _, refusal := range refusals {
		r.Refused = r.Refused || errors.Is(err, refusal)
	}
	return r
}

// askAll asks a coordinator for all states, overrides and transitions.
func (j *job) askAll(conn *grpc.ClientConn, r *result) error {
	var b strings.Builder
	ctx, wait, admin := context.Background(), grpc.WaitForReady(true), pb.NewAdminServiceClient(conn)
	states, mesh := &pb.ListRequest{PageSize: 1000}, pb.NewHealthServiceClient(conn)
	for more := true; more; more = states.PageToken != "" {
		page, err := mesh.List(ctx, states, wait)
		if err != nil {
			return err
		}
		states.PageToken = page.NextPageToken
		for _, e := range page.Entries {
			fmt.Fprintln(&b, e.Service, e.Instance, e.Status, e.Version, e.Address, e.Override.GetReason())
			if e.Instance != "" && e.Status == pb.Status_STATUS_NOT_SERVING {
				r.Failing = append(r.Failing, e.Service+"/"+e.Instance)
			}
		}
	}
	overrides, err := admin.ListOverrides(ctx, &pb.ListOverridesRequest{}, wait)
	if err != nil {
		return err
	}
	for _, o := range overrides.Overrides {
		fmt.Fprintln(&b, o.Override.Scope, o.Override.Status, o.Override.Reason, o.Instances)
	}
	history := &pb.ListTransitionsRequest{PageSize: 1000, To: timestamppb.New(j.Before)}
	for more := true; more; more = history.PageToken != "" {
		page, err := admin.ListTransitions(ctx, history, wait)
		if err != nil {
			return err
		}
		history.PageToken = page.NextPageToken
		for _, t := range page.Transitions {
			fmt.Fprintln(&b, t.Service, t.Instance, t.From, t.To, t.At.AsTime(), t.Cause, t.Reason)
		}
	}
	r.Content = b.String()
	return nil
}

// opener is a child that opens damaged files. The zero value starts the child when it is needed.
type opener struct {
	cmd     *exec.Cmd // nil if the child does not run
	jobs    *json.Encoder
	in      io.Closer
	results *json.Decoder
	stderr  strings.Builder
}

func (o *opener) start() error {
	*o = opener{cmd: exec.Command(os.Args[0])}
	o.cmd.Env = append(os.Environ(), childEnv+"=none", openerEnv+"=1")
	o.cmd.Stderr = &o.stderr
	in, errIn := o.cmd.StdinPipe()
	out, errOut := o.cmd.StdoutPipe()
	o.in, o.jobs, o.results = in, json.NewEncoder(in), json.NewDecoder(out)
	return errors.Join(errIn, errOut, o.cmd.Start())
}

// errHangs means that an opener has not answered within the time that it had.
var errHangs = errors.New("the process hangs")

// open executes a job. If the child ends before it has answered, the next call starts another one.
func (o *opener) open(j *job, limit time.Duration) (*result, error) {
	if o.cmd == nil {
		if err := o.start(); err != nil {
			return nil, err
		}
	}
	process := o.cmd.Process
	timer := time.AfterFunc(limit, func() { _ = process.Kill() }) // it may have ended by itself
	r := &result{}
	err := errors.Join(o.jobs.Encode(j), o.results.Decode(r))
	switch inTime := timer.Stop(); {
	case err == nil && inTime:
		return r, nil
	case err == nil || !inTime:
		err = errHangs
	}
	err = fmt.Errorf("%w: %w\n%s", err, o.cmd.Wait(), o.stderr.String())
	o.cmd = nil
	return nil, err
}

// end lets the child end.
func (o *opener) end() error {
	if o.cmd == nil {
		return nil
	}
	return errors.Join(o.in.Close(), o.cmd.Wait())
}

// newLines is the number of lines that an opener appends in two runs.
const newLines = 6

// auditResult is what an opener found in an audit log.
type auditResult struct {
	Sound         bool     // before the log was opened
	Before, After []string // the hashes of all sound lines before it was opened, and at the end
	New           []string // the objects of the lines that were acknowledged and are there
	Faults        []int    // the number of faults of the accepted writes after each of two starts
	Damage        []int    // the number of damages that each start has found
}

// openAudit verifies an audit log, and appends lines to it in two runs.
func (j *job) openAudit() *result {
	r := &result{}
	if err := r.Audit.find(j); err != nil {
		r.Error = err.Error()
	}
	return r
}

func (a *auditResult) find(j *job) error {
	report, err := audit.Verify(j.Dir, j.Noted)
	if err != nil {
		return err
	}
	a.Sound = report.Sound()
	if a.Before, _, err = linesOf(j.Dir); err != nil {
		return err
	}
	for run := range 2 {
		if err := a.appendTo(j.Dir, run); err != nil {
			return err
		}
		if report, err = audit.Verify(j.Dir, audit.Noted{}); err != nil {
			return err
		}
		a.Faults = append(a.Faults, report.Chains[0].NumFaults)
	}
	var objects []string
	a.After, objects, err = linesOf(j.Dir)
	a.New = slices.DeleteFunc(a.New, func(object string) bool { return !slices.Contains(objects, object) })
	return err
}

// appendTo opens the log and appends lines.
func (a *auditResult) appendTo(dir string, run int) error {
	l, err := audit.Open(dir, auditOptions)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- l.Run(ctx) }()
	for n := range newLines / 2 {
		object := fmt.Sprintf("new-%d-%d", run, n)
		if err = l.Append(ctx, audit.Record{Kind: audit.Write, Source: audit.Socket, Verb: "override", Object: object, Outcome: audit.Accepted}); err != nil {
			break
		}
		a.New = append(a.New, object)
	}
	stop()
	err = errors.Join(err, <-ran, l.Close())
	a.Damage = append(a.Damage, len(l.Stats().Damage))
	return err
}

// linesOf returns the hashes and the objects of all sound lines.
func linesOf(dir string) (hashes, objects []string, err error) {
	_, err = audit.Read(dir, func(l *audit.Line) bool {
		hashes, objects = append(hashes, l.Hash.String()), append(objects, l.Object)
		return true
	})
	return hashes, objects, err
}
