package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshhealth/meshhealth/coordinator/config"
	"github.com/meshhealth/meshhealth/internal/authority"
	"github.com/meshhealth/meshhealth/internal/input"
)

// defaultCertDir is the folder in which the commands below `cert` keep an authority.
const defaultCertDir = "meshhealth-certs"

// certConfig is the name of the configuration file that `cert init` writes.
const certConfig = "meshhealth.yaml"

func certCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "cert", Short: "Make and show certificates for TLS on both sides",
		Long: `Make a private certificate authority in a folder, certificates that it signs, and show
certificates. A coordinator needs no such authority: it takes certificates of any other.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(certInitCommand(a), certIssueCommand(a), certShowCommand(a))
	return cmd
}

// certFlags are the flags that make certificates. hosts, services and operators are lists.
type certFlags struct {
	dir, domain                string
	days                       int
	hosts, services, operators []string
}

func (f *certFlags) addTo(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.dir, "dir", defaultCertDir, "`DIR` of the authority")
	fl.IntVar(&f.days, "days", authority.DefaultDays, "`NUMBER` of days for which certificates are valid")
}

func certInitCommand(a *app) *cobra.Command {
	var f certFlags
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make a private authority, and certificates for a coordinator, services and operators",
		Long: `Make a private authority, and certificates for a coordinator, services and operators, with
their keys. It also writes a configuration file for a coordinator that uses them towards
callers and instances, and its access policy: operators may do everything, and each service
may register itself. It overwrites nothing.

Each certificate has an identity: spiffe://DOMAIN/coordinator, spiffe://DOMAIN/service/NAME or
spiffe://DOMAIN/operator/NAME. That of the coordinator is also valid for localhost, for the name of
this machine, and for each --host. Give all names and addresses under which it is reached.`,
		Example: `  meshhealth cert init --service payments --service orders --operator alice
  meshhealth cert init --host health.example.com --host 10.0.0.7 --operator alice`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return certInit(a, cmd, &f) },
	}
	f.addTo(cmd)
	cmd.Flags().StringVar(&f.domain, "trust-domain", authority.DefaultDomain, "`DOMAIN` of the identities in the certificates")
	cmd.Flags().StringSliceVar(&f.hosts, "host", nil, "`NAMES` or addresses under which the coordinator is reached")
	cmd.Flags().StringSliceVar(&f.services, "service", nil, "`NAMES` of services that get a certificate")
	cmd.Flags().StringSliceVar(&f.operators, "operator", nil, "`NAMES` of people that get a certificate")
	return cmd
}

// subjects returns the holders of all certificates that `cert init` makes.
func (f *certFlags) subjects() []*authority.Subject {
	all := []*authority.Subject{{Role: authority.Coordinator, Hosts: append(localHosts(), f.hosts...)}}
	for _, name := range f.services {
		all = append(all, &authority.Subject{Role: authority.Service, Name: name, Hosts: serviceHosts(name)})
	}
	for _, name := range f.operators {
		all = append(all, &authority.Subject{Role: authority.Operator, Name: name})
	}
	return all
}

// localHosts returns the names and addresses of this machine that need no flag.
func localHosts() []string {
	hosts := loopbackHosts()
	if name, err := os.Hostname(); err == nil {
		if s := (authority.Subject{Role: authority.Coordinator, Hosts: []string{strings.ToLower(name)}}); s.Check() == nil {
			hosts = append(hosts, strings.ToLower(name))
		}
	}
	return hosts
}

func loopbackHosts() []string { return []string{"localhost", "127.0.0.1", "::1"} }

// serviceHosts returns the names and addresses of a service for which no flag --host is given.
func serviceHosts(name string) []string {
	s := authority.Subject{Role: authority.Coordinator, Hosts: []string{name}}
	if s.Check() != nil {
		return loopbackHosts()
	}
	return append([]string{name}, loopbackHosts()...)
}

func certInit(a *app, cmd *cobra.Command, f *certFlags) error {
	subjects, err := f.check(cmd)
	if err != nil {
		return err
	}
	files, policy := []string{filepath.Join(f.dir, certConfig), filepath.Join(f.dir, certPolicy)}, policyText(f.domain, subjects)
	for _, file := range files {
		if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
			return existsError(fmt.Errorf("%s %w", file, authority.ErrExists))
		}
	}
	if _, err := config.ParseAccessPolicy(certPolicy, []byte(policy)); err != nil {
		return usage(cmd, "--service: %w", err)
	}
	ca, err := authority.New(f.dir, f.domain, a.now(), subjects...)
	if err != nil {
		return existsError(err)
	}
	var made []*authority.Certificate
	for _, s := range subjects {
		c, err := ca.Issue(s, f.days, a.now())
		if err != nil {
			return err
		}
		made = append(made, c)
	}
	for i, text := range []string{certConfigText, policy} {
		if err := os.WriteFile(files[i], []byte(text), 0o600); err != nil {
			return err
		}
	}
	return printMade(a.stdout, f, ca, made, files)
}

// certConfigText is the configuration file that `cert init` writes. Its paths are relative to its
// folder.
const certConfigText = `# Written by "meshhealth cert init".
# Callers show a certificate that ca.pem has signed, and access.yaml says what they may do.
tls: {cert: coordinator.pem, key: coordinator-key.pem, client_ca: ca.pem}
access_policy: access.yaml
# Instances are dialled by TLS, and must show a certificate that ca.pem has signed.
dial:
  default:
    tls: {cert: coordinator.pem, key: coordinator-key.pem, ca: ca.pem}
`

// check checks all flags of `cert init` before a file is written.
func (f *certFlags) check(cmd *cobra.Command) ([]*authority.Subject, error) {
	subjects := f.subjects()
	var errs []error
	if err := authority.CheckDomain(f.domain); err != nil {
		errs = append(errs, usage(cmd, "--trust-domain: %w", err))
	}
	errs = append(errs, f.checkCommon(cmd))
	var seen []string
	for _, s := range subjects {
		if err := s.Check(); err != nil {
			errs = append(errs, usage(cmd, "--%w", err))
		}
		if name := string(s.Role) + " " + strings.ToLower(s.Name); slices.Contains(seen, name) {
			errs = append(errs, usage(cmd, "--%s: %q is given twice", s.Role, s.Name))
		} else {
			seen = append(seen, name)
		}
	}
	return subjects, errors.Join(errs...)
}

func (f *certFlags) checkCommon(cmd *cobra.Command) error {
	var errs []error
	if err := input.CheckPath(f.dir); err != nil {
		errs = append(errs, usage(cmd, "--dir: %w", err))
	}
	if f.days < 1 || f.days > authority.MaxDays {
		errs = append(errs, usage(cmd, "--days: is %d; allowed: 1 to %d", f.days, authority.MaxDays))
	}
	return errors.Join(errs...)
}

// existsError adds to an error about a file that exists what to do instead.
func existsError(err error) error {
	if !errors.Is(err, authority.ErrExists) {
		return err
	}
	return hinted("A new authority would make all certificates of the old one worthless. Add or renew one with `meshhealth cert issue`, or give another --dir.",
		"%w; nothing was written", err)
}

func printMade(out io.Writer, f *certFlags, ca *authority.Authority, made []*authority.Certificate, files []string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Made the authority of %s, valid until %s:\n", ca.Domain(), ca.Certificate().NotAfter.UTC().Format(time.DateOnly))
	fmt.Fprintf(&b, "  %s: everybody who verifies certificates needs it\n", ca.File())
	fmt.Fprintf(&b, "  %s: keep it secret, because it signs certificates\n", ca.KeyFile())
	fmt.Fprintf(&b, "Made %d certificates, valid until %s:\n", len(made), made[0].NotAfter.UTC().Format(time.DateOnly))
	for _, c := range made {
		fmt.Fprintf(&b, "  %s, %s: %s\n", c.File, filepath.Base(c.KeyFile), identity(c))
	}
	fmt.Fprintf(&b, "Made %s: a coordinator that uses them towards callers and instances\n", files[0])
	fmt.Fprintf(&b, "Made %s: what operators and services may do\n\n", files[1])
	fmt.Fprintf(&b, "Next: meshhealth coordinator --config %s\n", shellWord(files[0]))
	if at := slices.IndexFunc(made, func(c *authority.Certificate) bool { return strings.HasPrefix(filepath.Base(c.File), "operator-") }); at >= 0 {
		fmt.Fprintf(&b, "Then: meshhealth status --tls-ca %s --tls-cert %s --tls-key %s\n",
			shellWord(ca.File()), shellWord(made[at].File), shellWord(made[at].KeyFile))
	} else {
		fmt.Fprintf(&b, "Then: meshhealth cert issue operator NAME --dir %s\n", shellWord(f.dir))
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// identity returns the identity in a certificate and the hosts for which it is valid.
func identity(c *authority.Certificate) string {
	text := c.URIs[0].String()
	hosts := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		hosts = append(hosts, ip.String())
	}
	if len(hosts) > 0 {
		text += ", for " + strings.Join(hosts, ", ")
	}
	return text
}

// shellWord returns a text as one word of a shell.
func shellWord(text string) string {
	if !strings.ContainsFunc(text, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+:@%,=", r)
	}) && text != "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
