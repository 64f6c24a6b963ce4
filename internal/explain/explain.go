package explain

import "github.com/meshhealth/meshhealth/health"

// Explain explains the state s.
func Explain(s *health.State, input *Input) Explanation {
	b := &explainer{s: s, input: input}
	if input.Inspection != nil {
		b.view = input.Inspection.Instance
	}
	b.explainLayers()
	switch {
	case s.Spec != nil:
		b.instance()
	case s.Counts != nil:
		b.aggregate()
	}
	b.findChain()
	b.findNext()
	b.out.Evidence = b.out.Evidence[:min(len(b.out.Evidence), maxEvidence)]
	b.out.Sentences = sentencesOf(s, input, &b.out)
	return b.out
}
