package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshhealth/meshhealth/internal/authority"
)

func certIssueCommand(a *app) *cobra.Command {
	var f certFlags
	cmd := &cobra.Command{
		Use:   "issue coordinator | service NAME | operator NAME",
		Short: "Issue a certificate, or renew one",
		Long: `Issue a certificate with a new key, or renew one: both files are replaced. A renewed certificate
keeps its names and addresses unless --host is given. A coordinator, and programs with the
library, read the new files within seconds.`,
		Example: `  meshhealth cert issue service payments --host payments.example.com
  meshhealth cert issue coordinator`,
		Args: func(cmd *cobra.Command, args []string) error {
			_, err := subjectOf(cmd, args)
			return err
		},
		RunE: func(cmd *cobra.Command, args []string) error { return certIssue(a, cmd, &f, args) },
	}
	f.addTo(cmd)
	cmd.Flags().StringSliceVar(&f.hosts, "host", nil, "`NAMES` or addresses under which the holder is reached, beside localhost")
	return cmd
}

// subjectOf returns the holder that the arguments name.
func subjectOf(cmd *cobra.Command, args []string) (*authority.Subject, error) {
	if len(args) == 0 {
		return nil, usage(cmd, "no holder given; allowed: coordinator, service NAME, operator NAME")
	}
	s := &authority.Subject{Role: authority.Role(args[0])}
	switch s.Role {
	case authority.Coordinator:
		if len(args) > 1 {
			return nil, usage(cmd, "unexpected argument %q: a coordinator has no name", args[1])
		}
		return s, nil
	case authority.Service, authority.Operator:
		if err := exactlyTwo("holder", "NAME")(cmd, args); err != nil {
			return nil, err
		}
		s.Name = args[1]
		if err := s.Check(); err != nil {
			return nil, usage(cmd, "%w", err)
		}
		return s, nil
	}
	return nil, usage(cmd, "%q is no holder; allowed: coordinator, service NAME, operator NAME", args[0])
}

func certIssue(a *app, cmd *cobra.Command, f *certFlags, args []string) error {
	s, err := subjectOf(cmd, args)
	if err != nil {
		return err
	}
	if s.Role == authority.Operator && len(f.hosts) > 0 {
		return usage(cmd, "--host: is given for an operator, whom nobody dials; leave it out")
	}
	if err := f.checkCommon(cmd); err != nil {
		return err
	}
	ca, err := authority.Open(f.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return hinted("Make an authority with `meshhealth cert init`, or name its folder with --dir.", "no authority in %s: %w", f.dir, err)
	} else if err != nil {
		return fmt.Errorf("--dir: %w", err)
	}
	before, err := ca.Find(s)
	if err != nil {
		return err
	}
	if s.Hosts = f.hostsOf(s, before); s.Check() != nil {
		return usage(cmd, "--%w", s.Check())
	}
	c, err := ca.Issue(s, f.days, a.now())
	if err != nil {
		return hinted("Give a smaller --days.", "%w", err)
	}
	word := "Made"
	if before != nil {
		word = "Renewed"
	}
	text := fmt.Sprintf("%s %s, %s, valid until %s\n  %s\n\nNext: meshhealth cert show %s\n",
		word, c.File, c.KeyFile, c.NotAfter.UTC().Format(time.DateOnly), identity(c), shellWord(c.File))
	if before == nil && s.Role == authority.Service {
		text += "Then: add a rule to the access policy:\n  - " + serviceRule(ca.Domain(), s.Name) + "\n"
	}
	_, err = io.WriteString(a.stdout, text)
	return err
}

// hostsOf returns the names and addresses for the certificate of s. before is its previous certificate,
// or nil.
func (f *certFlags) hostsOf(s *authority.Subject, before *authority.Certificate) []string {
	switch {
	case s.Role == authority.Operator:
		return nil
	case before != nil && len(f.hosts) == 0:
		hosts := before.DNSNames
		for _, ip := range before.IPAddresses {
			hosts = append(hosts, ip.String())
		}
		return hosts
	case s.Role == authority.Coordinator:
		return append(localHosts(), f.hosts...)
	}
	return append(serviceHosts(s.Name), f.hosts...)
}
