package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/meshhealth/meshhealth/coordinator/config"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// learnFlags has the values of the flags of `policy learn`.
type learnFlags struct {
	target
	lasting  time.Duration
	networks []string
}

func policyLearnCommand(a *app) *cobra.Command {
	var f learnFlags
	cmd := &cobra.Command{
		Use:   "learn",
		Short: "Write an access policy that allows what a coordinator observes",
		Long: `Observe for a time what callers do at a coordinator, and print an access policy that
allows this and nothing else: the same identities, verbs and services, the lowest detail, and
the addresses and ports of the same registrations. Comments name what the policy leaves out.
Read each rule before you use the policy.

The coordinator observes while the command runs, and only what its present policy allows. It
needs the right to admin, and to read everything with evidence. One command can learn at a
time. Ctrl-C ends it, and it prints what was observed so far.

Callers without an identity get a rule for anyone. Give them certificates or tokens first.`,
		Example: `  meshhealth policy learn --for 24h > access.yaml
  meshhealth policy learn --network 10.0.0.0/8 > access.yaml`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := errors.Join(f.check(cmd), f.complete(cmd, a.getenv)); err != nil {
				return err
			}
			return a.learnPolicy(cmd.Context(), &f)
		},
	}
	f.addTo(cmd)
	cmd.Flags().DurationVar(&f.lasting, "for", time.Hour, "how long to observe, at most 24h")
	cmd.Flags().StringArrayVar(&f.networks, "network", nil, "`NETWORK` such as 10.0.0.0/8 that stands for the addresses in it (repeatable)")
	return cmd
}

func (f *learnFlags) check(cmd *cobra.Command) error {
	var errs []error
	if f.lasting < wire.MinLearn || f.lasting > wire.MaxLearn {
		errs = append(errs, usage(cmd, "--for: is %v; allowed: %v to %v", f.lasting, wire.MinLearn, wire.MaxLearn))
	}
	if n := len(f.networks); n > wire.MaxLearnNetworks {
		errs = append(errs, usage(cmd, "--network: is given %d times; allowed: at most %d", n, wire.MaxLearnNetworks))
	}
	for _, text := range f.networks {
		if _, err := wire.ParseNetwork(text); err != nil {
			errs = append(errs, usage(cmd, "--network: %w", err))
		}
	}
	return errors.Join(errs...)
}

// lesson is what `policy learn` has received.
type lesson struct {
	set         access.Observations
	base        access.Policy // trust domain and tokens of the policy in use
	dropped     uint64        // by the coordinator
	began, end  time.Time
	coordinator string
}

// maxLearnt is the largest number of observations that are kept. It is larger than the limit of a coordinator.
const maxLearnt = 1_000_000

// learnPolicy observes until the time is up or ctx ends, and prints the policy.
func (a *app) learnPolicy(ctx context.Context, f *learnFlags) error {
	conn, closeConn, err := f.dial()
	if err != nil {
		return err
	}
	defer closeConn()
	l := &lesson{
		set: access.Observations{Limit: maxLearnt}, base: access.Policy{Tokens: map[string][]access.TokenHash{}},
		began: a.now(), coordinator: f.address,
	}
	began, err := l.receive(ctx, pb.NewAdminServiceClient(conn), f, func() {
		a.say("learning at %s for %s; Ctrl-C ends it earlier", f.address, access.Short(f.lasting))
	})
	l.end = a.now()
	switch {
	case !began:
		return err
	case err != nil:
		a.say("the coordinator has ended it after %v; this is what was observed until then", l.end.Sub(l.began).Round(time.Second))
	}
	text, rules, learnErr := l.policy()
	if learnErr == nil {
		_, learnErr = a.stdout.Write(text)
	}
	if learnErr == nil {
		a.say("%s; the policy has %s", plural(l.set.Count(), "observation"), plural(rules, "rule"))
	}
	return errors.Join(learnErr, err)
}

// receive receives what is observed, and calls started when the coordinator has begun to observe. It returns nil if
// the time is up or ctx has ended.
//
// The coordinator sends a message each second. After the end of ctx, the second message has everything that was
// observed before, because the coordinator has sent it later.
func (l *lesson) receive(ctx context.Context, admin pb.AdminServiceClient, f *learnFlags, started func()) (began bool, err error) {
	call, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	answer := time.AfterFunc(f.timeout, func() { cancel(errNoAnswer) })
	defer answer.Stop()
	defer context.AfterFunc(ctx, func() { answer.Reset(f.timeout) })()
	stream, err := admin.LearnAccess(call, &pb.LearnAccessRequest{Lasting: durationpb.New(f.lasting), Networks: f.networks})
	for after := 0; err == nil && after < 2; {
		var m *pb.LearnAccessResponse
		if m, err = stream.Recv(); err != nil {
			break
		}
		if !began {
			if began = true; ctx.Err() == nil {
				answer.Stop()
			}
			l.base.TrustDomain, l.base.AllowDNSNames = m.GetTrustDomain(), m.GetAllowDnsNames()
			started()
		}
		if err = l.take(m); ctx.Err() != nil {
			after++
		}
	}
	switch {
	case err == nil, errors.Is(err, io.EOF):
		return began, nil
	case errors.Is(context.Cause(call), errNoAnswer):
		return began, hinted("Is the address right? --timeout allows more time.", "no answer from %s within %v", f.address, f.timeout)
	}
	return began, f.callError(err)
}

func (l *lesson) take(m *pb.LearnAccessResponse) error {
	l.dropped = m.GetDropped()
	for _, c := range m.GetCallers() {
		l.set.AddInstances(c.GetIdentity(), int(min(c.GetInstances(), access.MaxInstances)))
		name, is := access.TokenName(c.GetIdentity())
		if !is {
			continue
		}
		l.base.Tokens[name] = nil
		for _, h := range c.GetTokenHashes() {
			if len(h) != len(access.TokenHash{}) {
				return fmt.Errorf("callers.token_hashes: has %d bytes; allowed: %d", len(h), len(access.TokenHash{}))
			}
			l.base.Tokens[name] = append(l.base.Tokens[name], access.TokenHash(h))
		}
	}
	for _, u := range m.GetUses() {
		o, err := wire.AccessUseFrom(u)
		if err != nil {
			return fmt.Errorf("uses.%w", err)
		}
		l.set.Add(o)
	}
	return nil
}

// policy returns the text of the policy, and the number of its rules.
func (l *lesson) policy() (text []byte, rules int, err error) {
	p, leftOut := l.set.Learn(&l.base)
	if _, err := access.Compile(p); err != nil {
		return nil, 0, fmt.Errorf("%s has sent something that fits into no policy: %w", l.coordinator, err)
	}
	text, err = config.FormatAccessPolicy(p, l.comment(p, leftOut), func(i int) string { return commentOf(&p.Rules[i]) })
	return text, len(p.Rules), err
}

// maxLeftOut is the largest number of texts about what a policy leaves out.
const maxLeftOut = 50

// comment returns what stands at the beginning of the policy.
func (l *lesson) comment(p *access.Policy, leftOut []string) string {
	lines := []string{
		fmt.Sprintf("Learnt by `meshhealth policy learn` at %s, from %s to %s.", l.coordinator, l.began.Format(time.RFC3339), l.end.Format(time.RFC3339)),
		"It allows what was observed, and nothing else. Read each rule before you use it.",
	}
	if len(p.Rules) == 0 {
		lines = append(lines, "Nothing was observed.")
	}
	if !slices.ContainsFunc(p.Rules, func(r access.Rule) bool { return r.Admin }) {
		lines = append(lines, "No rule has admin. Add one for the people who manage the coordinator.")
	}
	if slices.ContainsFunc(p.Rules, func(r access.Rule) bool { return r.Route != nil }) {
		lines = append(lines, "A caller that watches services has route too, because a resolver reads addresses in this way.")
	}
	if n := l.dropped + l.set.Dropped; n > 0 {
		lines = append(lines, fmt.Sprintf("The policy is incomplete: there was no room for %s.", plural(int(min(n, 1<<31-1)), "observation")))
	}
	for i, what := range leftOut {
		if i == maxLeftOut {
			lines = append(lines, fmt.Sprintf("Left out: %d more.", len(leftOut)-i))
			break
		}
		lines = append(lines, "Left out: "+what+".")
	}
	for i, line := range lines {
		lines[i] = wire.CleanTo(line, maxShown)
	}
	return strings.Join(lines, "\n")
}

// firstSystemPort is the first port that Linux chooses for a listener without one.
const firstSystemPort = 32768

// commentOf returns what stands above a rule.
func commentOf(r *access.Rule) string {
	var lines []string
	if slices.Contains(r.Who, "anyone") {
		lines = append(lines, "WARNING: these callers showed no identity, so this allows it to everybody.",
			"Give them certificates or tokens, and remove this rule.")
	}
	if r.Register != nil && slices.ContainsFunc(r.Register.Ports, func(p access.Ports) bool { return p.Last >= firstSystemPort }) {
		lines = append(lines, "If the system chooses the ports at each start, allow a range of ports.")
	}
	return strings.Join(lines, "\n")
}
