package coordinator_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// row is one row of the table in DESIGN.md, section "Evidence".
type row struct {
	name string
	test func(*testing.T)
}

// rows are the rows in the order of the table.
var rows = []row{
	{"renew", rowRenew},
	{"proven", rowProven},
	{"session", rowSession},
	{"unproven", rowUnproven},
	{"static", rowStatic},
	{"stranger", rowStranger},
	{"name-unknown", rowNameUnknown},
	{"name-gone", rowNameGone},
	{"answered-error", rowAnsweredError},
	{"proxy-error", rowProxyError},
	{"unavailable", rowUnavailable},
	{"upstream-unavailable", rowUpstreamUnavailable},
	{"quota", rowQuota},
	{"configuration", rowConfiguration},
	{"malformed", rowMalformed},
	{"cut", rowCut},
	{"tls", rowTLS},
	{"refused", rowRefused},
	{"silence", rowSilence},
	{"silence-renewing", rowSilenceRenewing},
	{"flood", rowFlood},
	{"ourselves", rowOurselves},
	{"late", rowLate},
}

// TestEvidence runs each row of the table in DESIGN.md with a whole coordinator and a target
// that sends the evidence over a connection.
func TestEvidence(t *testing.T) {
	for _, r := range rows {
		t.Run(r.name, r.test)
	}
}

// lastColumn is the heading of the column that names the tests.
const lastColumn = "test: TestEvidence/…"

var tableCell = regexp.MustCompile(`\|\s*([^|]*?)\s*\|\s*$`)

// TestEvidenceTable: the tested rows are the rows of DESIGN.md, in the same order.
func TestEvidenceTable(t *testing.T) {
	design, err := os.ReadFile("../DESIGN.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented, tested []string
	inTable := false
	for line := range strings.Lines(string(design)) {
		cell := tableCell.FindStringSubmatch(line)
		switch {
		case cell == nil:
			inTable = false
		case cell[1] == lastColumn:
			inTable = true
		case inTable && strings.Trim(cell[1], "-:") != "":
			documented = append(documented, cell[1])
		}
	}
	for _, r := range rows {
		tested = append(tested, r.name)
	}
	if len(documented) == 0 || !slices.Equal(documented, tested) {
		t.Errorf("DESIGN.md names %q\nand tested are  %q", documented, tested)
	}
}
