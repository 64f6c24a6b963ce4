package sim

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestTranscripts plays the scripts in testdata. Each of them has found a bug.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s, err := Parse(string(text))
			if err != nil {
				t.Fatal(err)
			}
			if fault := Play(s).Fault; fault != nil {
				t.Error(fault)
			}
		})
	}
}

// TestText: a printed script is parsed as the same script, and plays the same.
func TestText(t *testing.T) {
	t.Parallel()
	s := Generate(7, Size{Instances: 30, Episodes: 40, Length: 5 * time.Minute})
	again, err := Parse("# A word.\n" + s.String())
	if err != nil {
		t.Fatal(err)
	}
	if again.String() != s.String() {
		t.Errorf("printed\n%s\nread\n%s", s, again)
	}
	a, b := Play(s), Play(again)
	if a.Events != b.Events || a.Took != b.Took || a.Figures.Transitions != b.Figures.Transitions || a.Fault != nil {
		t.Errorf("first %+v, then %+v", a, b)
	}
}

func TestParseFaults(t *testing.T) {
	for _, text := range []string{
		"setup seed=x", "setup colour=red", "service", "service a instances=many", "service a rule=none", "1s", "1s add",
		"soon add a/1", "1s say a/1 status=FINE", "1s say a/1 for=long",
	} {
		if s, err := Parse(text); err == nil {
			t.Errorf("%q is read as\n%s", text, s)
		}
	}
}

// TestClock: the wall clock jumps, and the monotonic reading does not.
func TestClock(t *testing.T) {
	c := newClock()
	before := c.at(time.Second)
	c.jump = -time.Hour
	after := c.at(3 * time.Second)
	if d := after.Sub(before); d != 2*time.Second {
		t.Errorf("%v passed, want 2s", d)
	}
	if d := after.Round(0).Sub(before.Round(0)); d != 2*time.Second-time.Hour {
		t.Errorf("%v by the wall, want an hour less than 2s", d)
	}
	if !after.Equal(after.Round(0).Add(0)) && after.Unix() != after.Round(0).Unix() {
		t.Errorf("%v and %v are not the same", after, after.Round(0))
	}
}

// TestMinimise: only the steps that are needed to fail are left.
func TestMinimise(t *testing.T) {
	t.Parallel()
	s := Generate(3, Size{Instances: 40, Episodes: 60, Length: 5 * time.Minute})
	late := s.Steps[len(s.Steps)-1].At + time.Minute
	// The script fails, since no service ever has the status 7.
	s.Steps = append(s.Steps, Step{At: late, Op: OpExpect, Who: "s0", N: Bits()}, Step{At: late, Op: OpExpect, Who: "s0", N: 1 << 7}, Step{At: late + time.Minute, Op: OpWall})
	small := Minimise(s, "expected", 1000)
	if f := Play(small).Fault; f == nil || f.Rule != "expected" || len(small.Steps) > 3 || len(small.Services) > 1 {
		t.Errorf("%v of\n%s", f, small)
	}
}
