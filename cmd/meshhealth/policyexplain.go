package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/meshhealth/meshhealth/coordinator/config"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// exitRefused is the exit code of `policy explain` if the policy does not allow the action.
const exitRefused = 1

// policyQuestion is what `policy explain` is asked.
type policyQuestion struct {
	identity string // empty for a caller without an identity
	verb     access.Verb
	name     access.Name
	text     string // the name as it was given
}

func policyExplainCommand(a *app) *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use:   "explain FILE IDENTITY VERB [NAME]",
		Short: "Explain whether an access policy allows something",
		Long: `Explain whether an access policy allows an identity to use a verb on a name, which rule
decides, and what is missing if it does not.

IDENTITY is spiffe://DOMAIN/PATH, dns:NAME, token:NAME, unix:uid=NUMBER or ext:TEXT. The words
anyone and - stand for a caller without an identity. VERB is register, report, read, route,
override or admin. NAME is SERVICE, SERVICE/INSTANCE, or * for the whole mesh. For override it
may also be a scope such as 'zone=eu-1'. It is * if it is left out.

The exit code is 0 if it is allowed, 1 if it is refused, and 3 if the command has failed.`,
		Example: `  meshhealth policy explain policy.yaml token:ops override payments
  meshhealth policy explain policy.yaml anyone read '*'`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 3 || len(args) > 4 {
				return usage(cmd, "%s given; allowed: FILE IDENTITY VERB, or FILE IDENTITY VERB NAME", plural(len(args), "argument"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := parsePolicyQuestion(cmd, args)
			if err := errors.Join(out.check(cmd), err); err != nil {
				return err
			}
			return explainPolicy(a, cmd, &out, args[0], q)
		},
	}
	out.addFormat(cmd)
	return cmd
}

func parsePolicyQuestion(cmd *cobra.Command, args []string) (q policyQuestion, err error) {
	if q.identity = args[1]; q.identity == "anyone" || q.identity == "-" {
		q.identity = ""
	}
	var words []string
	for _, v := range access.Verbs() {
		words = append(words, v.String())
	}
	at := slices.Index(words, args[2])
	if at < 0 {
		return q, usage(cmd, "VERB: is %q; allowed: %s", wire.CleanTo(args[2], wire.MaxName), strings.Join(words, ", "))
	}
	q.verb, q.text = access.Verbs()[at], health.MeshName
	if len(args) == 4 {
		q.text = args[3]
	}
	if q.name, err = policyName(q.verb, q.text); err != nil {
		return q, usage(cmd, "NAME: %w", err)
	}
	return q, nil
}

// policyName returns the name in a text. For the verb override, the text is a scope.
func policyName(verb access.Verb, text string) (access.Name, error) {
	if verb == access.VerbOverride && text != health.MeshName {
		s, err := wire.ParseScope(text)
		return access.OfScope(s), err
	}
	if err := checkNames([]string{text}); err != nil {
		return access.Name{}, err
	}
	return access.Of(health.ParseID(text)), nil
}

func explainPolicy(a *app, cmd *cobra.Command, out *output, file string, q policyQuestion) error {
	policy, err := config.LoadAccessPolicy(cmd.Context(), file)
	if err != nil {
		return policyError(err)
	}
	compiled, err := access.Compile(policy)
	if err != nil {
		return err
	}
	if q.identity != "" {
		if err := compiled.CheckIdentity(q.identity); err != nil {
			return usage(cmd, "IDENTITY: %w", err)
		}
	}
	e := compiled.Explain(q.identity, q.verb, q.name)
	text := []byte(policyAnswer(&q, &e))
	if out.json() {
		text, err = policyAnswerJSON(&q, &e)
	}
	if err == nil {
		_, err = a.stdout.Write(text)
	}
	if err == nil && !e.Allowed {
		return exitCode(exitRefused)
	}
	return err
}

// policyAnswer describes an explanation in lines. The first line begins with yes or no.
func policyAnswer(q *policyQuestion, e *access.Explanation) string {
	who := q.identity
	if who == "" {
		who = "a caller without an identity"
	}
	action := q.verb.Action(q.name)
	var b strings.Builder
	if !e.Allowed {
		fmt.Fprintf(&b, "no: %s may not %s\n", who, action)
		writeRules(&b, "Rules that allow it to others; who:", e.ForOthers, func(r *access.Rule) []string { return r.Who })
		writeRules(&b, "Rules that allow it on other names; services:", e.ForOtherNames, func(r *access.Rule) []string { return r.Services(q.verb) })
		if len(e.ForOthers)+len(e.ForOtherNames) == 0 {
			b.WriteString("No rule allows it to others, or to this identity on other names.\n")
		}
		return cleanLines(b.String())
	}
	fmt.Fprintf(&b, "yes: %s may %s\n", who, action)
	for _, line := range [][2]string{
		{"rule", e.Rule},
		{"detail", detailText(e)},
		{"at", e.Endpoints},
		{"instances", instancesText(e)},
		{"longest", longestText(e)},
		{"of", ownText(e)},
	} {
		if line[1] != "" {
			fmt.Fprintf(&b, "  %s  %s\n", pad(line[0], len("instances")), line[1])
		}
	}
	if e.Rule == "" {
		b.WriteString("  Everybody may read the status of the coordinator itself.\n")
	}
	return cleanLines(b.String())
}

// maxListed is the largest number of rules that one list of an explanation names.
const maxListed = 20

func writeRules(b *strings.Builder, title string, rules []*access.Rule, of func(*access.Rule) []string) {
	if len(rules) == 0 {
		return
	}
	b.WriteString(title + "\n")
	for i, r := range rules {
		if i == maxListed {
			fmt.Fprintf(b, "  and %s more\n", plural(len(rules)-i, "rule"))
			return
		}
		fmt.Fprintf(b, "  %s", r.Name)
		if texts := of(r); len(texts) > 0 {
			fmt.Fprintf(b, ": %s", strings.Join(texts, ", "))
		}
		b.WriteByte('\n')
	}
}

func detailText(e *access.Explanation) string {
	if e.Detail == access.Hidden {
		return ""
	}
	return e.Detail.String()
}

func instancesText(e *access.Explanation) string {
	if e.NumInstances == 0 {
		return ""
	}
	return fmt.Sprintf("at most %d of one identity", e.NumInstances)
}

func ownText(e *access.Explanation) string {
	if !e.OwnOnly {
		return ""
	}
	return "only instances that this identity has registered, or nobody with an identity"
}

func longestText(e *access.Explanation) string {
	if e.Longest == 0 {
		return ""
	}
	return access.Short(e.Longest)
}

func policyAnswerJSON(q *policyQuestion, e *access.Explanation) ([]byte, error) {
	names := func(rules []*access.Rule) []string {
		all := make([]string, len(rules))
		for i, r := range rules {
			all[i] = r.Name
		}
		return all
	}
	text, err := json.Marshal(struct {
		Identity      string   `json:"identity"`
		Verb          string   `json:"verb"`
		Name          string   `json:"name"`
		Allowed       bool     `json:"allowed"`
		Rule          string   `json:"rule"`
		Detail        string   `json:"detail,omitempty"`
		Endpoints     string   `json:"endpoints,omitempty"`
		Instances     int      `json:"instances,omitempty"`
		Longest       string   `json:"longest,omitempty"`
		OwnOnly       bool     `json:"ownOnly,omitempty"`
		ForOthers     []string `json:"forOthers"`
		ForOtherNames []string `json:"forOtherNames"`
	}{
		q.identity, q.verb.String(), q.text, e.Allowed, e.Rule, detailText(e), e.Endpoints, e.NumInstances, longestText(e), e.OwnOnly,
		names(e.ForOthers), names(e.ForOtherNames),
	})
	return append(escaped(text), '\n'), err
}
