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

// watchProcess is a process that runs the command `meshhealth watch` and writes its output to
// a file.
type watchProcess struct {
	*process
	file string             // path of the file; each line has one JSON object
	read int64              // number of bytes of the file that were read so far
	view map[health.ID]Seen // last printed state of each name
}

// startWatchProcess starts the command `meshhealth watch`, and waits until the command has
// printed at least n names.
func (r *rig) startWatchProcess(n int) (*watchProcess, error) {
	name := filepath.Join(r.dir, "watch.json")
	out, err := logFile(name)
	if err != nil {
		return nil, err
	}
	defer out.Close() //nolint:errcheck // a failed Close has no effect on the child, which has its own descriptor
	cmd := r.cfg.Command(r.ctx, "watch", "--output", "json", "--coordinator", r.coordinator.at)
	cmd.Stdout, cmd.Stderr = out, r.log
	p, err := startProcess(cmd)
	if err != nil {
		return nil, err
	}
	r.onClose(p.kill)
	w := &watchProcess{process: p, file: name, view: map[health.ID]Seen{}}
	return w, w.waitFor(r, "the watch command has printed all names", func(view map[health.ID]Seen) bool { return len(view) >= n })
}

// waitFor waits until the condition ok is true for the printed states. It returns a
// timeoutError after 60 s (the constant patience). The parameter `what` describes the condition.
func (p *watchProcess) waitFor(r *rig, what string, ok func(map[health.ID]Seen) bool) error {
	for late := time.Now().Add(patience); ; {
		err := p.readNewLines()
		switch {
		case err != nil:
			return err
		case ok(p.view):
			return nil
		case time.Now().After(late):
			return &timeoutError{what}
		case !sleep(r.ctx, 200*time.Millisecond):
			return r.ctx.Err()
		}
	}
}

// readNewLines reads the complete lines that the command has added to the file since the last
// call.
func (p *watchProcess) readNewLines() error {
	f, err := os.Open(p.file)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // a failed Close loses nothing, because the file was only read
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
