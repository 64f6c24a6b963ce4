package main

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// printExplanation prints an explanation in sections, one fact on each line. A coordinator of an
// earlier version sends sentences only, so these are printed then.
func (a *app) printExplanation(out *output, e *pb.ExplainResponse) error {
	if out.json() {
		return printJSON(a.stdout, e)
	}
	p := a.pen(out.colour)
	if len(e.GetLayers())+len(e.GetEvidence())+len(e.GetChain())+len(e.GetNext()) == 0 {
		return a.printSentences(p, e)
	}
	var d document
	d.title(p, e.GetHealth())
	d.because(p, e)
	d.root(p, e)
	d.layers(p, e)
	d.next(p, e)
	d.forced(p, e)
	return d.print(a.stdout, p, a.columns)
}

// printSentences prints one sentence on each line. The first line has the colour of the status.
func (a *app) printSentences(p pen, e *pb.ExplainResponse) error {
	for i, sentence := range e.GetSentences() {
		sentence = wire.CleanTo(sentence, maxShown)
		if i == 0 {
			sentence = p.paint(p.status(e.GetHealth().GetStatus()).style, sentence)
		}
		if _, err := fmt.Fprintln(a.stdout, sentence); err != nil {
			return err
		}
	}
	return nil
}

// title adds the line with the name, its status and its route.
func (d *document) title(p pen, h *pb.Health) {
	name := nameOf(h)
	if name == "" {
		name = "the coordinator"
	}
	status := p.statusOf(h)
	if lasted := lastedOf(h); lasted != "" {
		status.text += " for " + lasted
	}
	d.section("").add(cell{name, strong}, status)
}

// because adds the cause and the reason of the status, and its evidence.
func (d *document) because(p pen, e *pb.ExplainResponse) {
	s := d.section("Because")
	h := e.GetHealth()
	if text := joined(causeOf(h.GetCause()), h.GetReason()); text != "" && h.GetOverride() == nil {
		s.add(cell{text: text})
	}
	for _, x := range e.GetEvidence() {
		status := cell{}
		if x.GetStatus() != pb.Status_STATUS_UNKNOWN || x.GetCause() != pb.Cause_CAUSE_UNKNOWN {
			status = p.status(x.GetStatus())
		}
		s.add(cell{text: x.GetSource()}, status, cell{text: joinedWith("  ", x.GetText(), receivedOf(x))})
	}
}

// receivedOf returns in parentheses how often and when evidence came.
func receivedOf(x *pb.Evidence) string {
	var parts []string
	if n := x.GetCount(); n > 1 {
		parts = append(parts, fmt.Sprintf("%d in a row", n))
	}
	if x.GetAge() != nil {
		parts = append(parts, age(x.GetAge().AsDuration())+" ago")
	}
	if len(parts) == 0 {
		return ""
	}
	return "(" + strings.Join(parts, ", ") + ")"
}

// edgeWords has the words for the edges of a chain.
var edgeWords = map[pb.Edge]string{
	pb.Edge_EDGE_HARD: "hard dependency", pb.Edge_EDGE_SOFT: "soft dependency", pb.Edge_EDGE_MEMBER: "member",
}

// root adds the way from the root of the failure to the name, if it has more than the name itself.
func (d *document) root(p pen, e *pb.ExplainResponse) {
	s := d.section("Root")
	if len(e.GetChain()) < 2 {
		return
	}
	for i, l := range e.GetChain() {
		name, edge := l.GetName(), edgeWords[l.GetEdge()]
		if i > 0 {
			name = strings.Repeat("  ", i-1) + p.choose("└ ", "+ ") + name
		}
		if i == len(e.GetChain())-1 {
			edge = joinedWith(", ", edge, "this name")
		}
		status := p.status(l.GetStatus())
		if since := l.GetSince(); since != nil {
			status.text += " for " + age(e.GetHealth().GetAt().AsTime().Sub(since.AsTime()))
		}
		s.add(cell{name, strong}, status, cell{text: joined(edge, l.GetReason())})
	}
}

// layers adds the layers of an instance.
func (d *document) layers(p pen, e *pb.ExplainResponse) {
	s := d.section("Layers")
	for _, l := range e.GetLayers() {
		out := p.status(l.GetOut())
		if l.GetUnconfirmed() {
			out.text += " ~"
		}
		text := l.GetDetail()
		if since := l.GetSince(); since != nil {
			text = joinedWith("  ", text, "(for "+age(e.GetHealth().GetAt().AsTime().Sub(since.AsTime()))+")")
		}
		s.add(cell{text: l.GetName()}, out, cell{text: text})
	}
}

// next adds the changes that may follow.
func (d *document) next(p pen, e *pb.ExplainResponse) {
	s := d.section("Next")
	for _, n := range e.GetNext() {
		to := p.status(n.GetTo())
		if n.GetUnconfirmed() {
			to.text += " ~"
		}
		if n.GetRemoved() {
			to = p.removed()
		}
		in := ""
		if n.GetIn() != nil {
			in = "in " + age(n.GetIn().AsDuration().Round(time.Second))
		}
		var conditions []string
		if cause := causeOf(n.GetCause()); cause != "" {
			conditions = append(conditions, cause)
		}
		if n.GetIf() != "" {
			conditions = append(conditions, "if "+n.GetIf())
		}
		if n.GetUnless() != "" {
			conditions = append(conditions, "unless "+n.GetUnless())
		}
		s.add(to, cell{text: in}, cell{text: strings.Join(conditions, ", ")})
	}
}

// forced adds the override of the status.
func (d *document) forced(p pen, e *pb.ExplainResponse) {
	o, h := e.GetHealth().GetOverride(), e.GetHealth()
	if o == nil {
		return
	}
	s := d.section("Forced")
	by := strings.TrimPrefix(o.GetStatus().String(), "STATUS_") + " by " + cmp.Or(o.GetAuthor(), "an unknown person")
	if o.GetSetAt() != nil {
		by += " " + age(h.GetAt().AsTime().Sub(o.GetSetAt().AsTime())) + " ago"
	}
	s.add(cell{text: joined(by+", for the scope "+o.GetScope(), o.GetReason())})
	without := p.status(e.GetJudged())
	without.text = "without the override: " + without.text
	s.add(without)
	if end := o.GetExpiresAt(); end != nil {
		s.add(cell{text: "ends in " + age(end.AsTime().Sub(h.GetAt().AsTime()))})
	}
}

func joined(a, b string) string { return joinedWith(": ", a, b) }

// joinedWith joins two texts. One of them may be empty.
func joinedWith(between, a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + between + b
}
