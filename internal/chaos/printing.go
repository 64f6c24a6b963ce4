package chaos

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// printing is a watch command whose output goes into a file.
type printing struct {
	*process
	file string
	read int64 // bytes of it
	view map[health.ID]Seen
}

// watchCommand starts one, and waits until it knows n names.
func (r *rig) watchCommand(n int) (*printing, error) {
	name := filepath.Join(r.dir, "watch.json")
	out, err := logFile(name)
	if err != nil {
		return nil, err
	}
	defer out.Close() //nolint:errcheck // the child has its own
	cmd := r.cfg.Command(r.ctx, "watch", "--output", "json", "--coordinator", r.coordinator.at)
	cmd.Stdout, cmd.Stderr = out, r.log
	p, err := launch(cmd)
	if err != nil {
		return nil, err
	}
	r.later(p.kill)
	w := &printing{process: p, file: name, view: map[health.ID]Seen{}}
	return w, w.until(r, "a watch command knows everybody", func(view map[health.ID]Seen) bool { return len(view) >= n })
}

// until waits for what the command has printed to come to something.
func (p *printing) until(r *rig, what string, ok func(map[health.ID]Seen) bool) error {
	for late := time.Now().Add(patience); ; {
		err := p.more()
		switch {
		case err != nil:
			return err
		case ok(p.view):
			return nil
		case time.Now().After(late):
			return &errNever{what}
		case !sleep(r.ctx, 200*time.Millisecond):
			return r.ctx.Err()
		}
	}
}

// more reads the whole lines that were added to the file.
func (p *printing) more() error {
	f, err := os.Open(p.file)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(io.NewSectionReader(f, p.read, 1<<40))
	if err != nil {
		return err
	}
	text = text[:bytes.LastIndexByte(text, '\n')+1]
	p.read += int64(len(text))
	for line := range bytes.Lines(text) {
		var h struct {
			Service, Instance, Status string
			Removed                   bool
		}
		if err := json.Unmarshal(line, &h); err != nil {
			return fmt.Errorf("a watch command prints %s: %w", line, err)
		}
		id := health.ID{Service: h.Service, Instance: h.Instance}
		p.view[id] = Seen{ID: id, State: State(strings.TrimPrefix(h.Status, "STATUS_"))}
		if h.Removed {
			delete(p.view, id)
		}
	}
	return nil
}
