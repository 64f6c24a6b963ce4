package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/input"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// listed is a registration in a file, with the number of its line.
type listed struct {
	*pb.Registration
	line int
}

// readRegistrations reads and parses a file of registrations. The name "-" means stdin.
func (a *app) readRegistrations(ctx context.Context, name string) ([]listed, error) {
	content, p, err := a.readFile(ctx, "--file", name, input.MaxFile)
	if err != nil {
		return nil, err
	}
	list := parseRegistrations(p, content)
	if len(list) == 0 && p.Err() == nil {
		p.Add(0, "", "names no instance; allowed: a YAML list, or a JSON object a line, each with service, instance and address")
	}
	return list, p.Err()
}

// readFile reads a file of at most limit bytes. The name "-" means stdin. p takes the faults of the
// file. flag is the flag or argument with the name of the file.
func (a *app) readFile(ctx context.Context, flag, name string, limit int64) (content []byte, p *input.Problems, err error) {
	open, shown := func() (io.ReadCloser, error) { return os.Open(name) }, name
	if name == "-" {
		open, shown = func() (io.ReadCloser, error) { return io.NopCloser(a.stdin), nil }, "stdin"
	}
	if err := input.CheckPath(name); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", flag, err)
	}
	p = &input.Problems{File: shown}
	content, err = input.Read(ctx, limit, open)
	switch {
	case errors.Is(err, input.ErrTooLarge):
		p.Add(0, "", "%v", err)
		return nil, nil, p
	case errors.Is(err, context.Canceled):
		return nil, nil, errors.New("interrupted")
	case err != nil:
		return nil, nil, fmt.Errorf("%s: %w", flag, err)
	}
	return content, p, nil
}

// parseRegistrations parses the content of a file in one of three formats. These are a YAML list, a
// YAML mapping with such a list under the key "services", and one JSON object on each line.
func parseRegistrations(p *input.Problems, content []byte) []listed {
	content = bytes.TrimPrefix(content, []byte("\ufeff")) // YAML allows a byte order mark at the start of a file
	r := registrationReader{first: map[health.ID]int{}}
	list := input.List(func(int) input.Reader { return r.read })
	switch trimmed := bytes.TrimSpace(content); {
	case bytes.HasPrefix(trimmed, []byte("{")):
		r.readJSONLines(p, content)
	case bytes.HasPrefix(trimmed, []byte("[")):
		input.YAML(p, unescaped(content), list)
	default:
		input.YAML(p, content, func(p *input.Problems, path string, n *yaml.Node) {
			if n.Kind == yaml.MappingNode {
				input.Object(input.Fields{"services": list})(p, path, n)
			} else {
				list(p, path, n)
			}
		})
	}
	return r.all
}

// registrationReader collects the registrations while a file is parsed.
type registrationReader struct {
	all   []listed
	first map[health.ID]int // number of the first line that contains each instance
	line  int               // number of the current line of JSON; 0 for YAML, because each YAML node has its line number
}

// readJSONLines parses one JSON object on each line with the YAML parser. This works because JSON is
// a part of YAML, except for some escapes.
func (r *registrationReader) readJSONLines(p *input.Problems, content []byte) {
	for line := range bytes.Lines(content) {
		r.line++
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		var raw json.RawMessage
		if err := json.Unmarshal(line, &raw); err != nil {
			p.Add(r.line, "", "not JSON: %v; allowed: one object a line", err)
			continue
		}
		problems := &input.Problems{}
		input.YAML(problems, unescaped(line), r.read)
		for _, one := range problems.List {
			p.Add(r.line, one.Path, "%s", one.Text)
		}
	}
}

// jsonEscape matches one escape in a JSON string. Two escapes that form one character are one match.
var jsonEscape = regexp.MustCompile(`\\(u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|.)`)

// unescaped replaces the JSON escapes that YAML does not have. Each is replaced by the character
// for which it stands.
func unescaped(content []byte) []byte {
	return jsonEscape.ReplaceAllFunc(content, func(escape []byte) []byte {
		var text string
		if len(escape) == 2 && escape[1] != '/' || json.Unmarshal([]byte(`"`+string(escape)+`"`), &text) != nil {
			return escape
		}
		return []byte(text)
	})
}

// read parses one registration, and adds it to r.all or its faults to p.
func (r *registrationReader) read(p *input.Problems, path string, n *yaml.Node) {
	reg, percent := &pb.Registration{Static: true, Traffic: &pb.Traffic{}}, 0
	before := p.Count()
	input.Object(input.Fields{
		"service":       input.Text(&reg.Service, wire.CheckService),
		"instance":      input.Text(&reg.Instance, wire.CheckInstance),
		"address":       input.Text(&reg.Address, wire.CheckAddress),
		"health_name":   input.Text(&reg.HealthName, wire.CheckHealthName),
		"zone":          input.Text(&reg.Zone, wire.CheckZone),
		"version":       input.Text(&reg.Version, input.CheckLength(wire.MaxVersion)),
		"server_name":   input.Text(&reg.ServerName, input.CheckLength(wire.MaxServerName)),
		"labels":        input.Labels(&reg.Labels),
		"rule":          input.Text(&reg.Rule, wire.CheckRule),
		"protocol":      input.Text(&reg.Protocol, wire.CheckProtocol),
		"min_available": input.Percent(&percent),
		"optional":      input.Boolean(&reg.Optional),
		"critical":      input.Boolean(&reg.Critical),
		"region":        input.Text(&reg.Region, wire.CheckZone),
		"source":        input.Text(&reg.Source, wire.CheckSource),
		"traffic":       input.Traffic(&reg.Traffic.Address, &reg.Traffic.Weight, &reg.Traffic.TlsNames),
	})(p, path, n)
	if p.Count() > before {
		return
	}
	line := n.Line
	if r.line > 0 {
		line = r.line
	}
	if err := r.check(reg); err != nil {
		p.Add(n.Line, path, "%v", err)
		return
	}
	r.first[health.ID{Service: reg.GetService(), Instance: reg.GetInstance()}] = line
	reg.MinAvailable = uint32(percent)
	r.all = append(r.all, listed{reg, line})
}

// check returns an error if a required key is missing, or if the file contains the instance twice.
func (r *registrationReader) check(reg *pb.Registration) error {
	var missing []string
	for _, f := range []struct{ name, value string }{
		{"service", reg.GetService()}, {"instance", reg.GetInstance()}, {"address", reg.GetAddress()},
	} {
		if f.value == "" {
			missing = append(missing, f.name)
		}
	}
	if len(missing) > 0 {
		return errors.New("has no " + strings.Join(missing, ", no ") + "; each has service, instance and address")
	}
	if reg.GetOptional() && reg.GetCritical() {
		return errors.New("is critical beside optional; allowed: one of both")
	}
	if err := wire.CheckTrafficAddress(reg.GetTraffic().GetAddress(), reg.GetAddress()); err != nil {
		return fmt.Errorf("traffic.address: %w", err)
	}
	id := health.ID{Service: reg.GetService(), Instance: reg.GetInstance()}
	if line, twice := r.first[id]; twice {
		return fmt.Errorf("%s is there twice; first in line %d", id, line)
	}
	return nil
}

var registrationField = regexp.MustCompile(`^registrations\[(\d{1,9})\]\.?(.*)$`)

// refusedLines returns the faults that the coordinator has found in a batch. Each fault has the
// number of its line in the file.
func refusedLines(name string, batch []listed, st *status.Status) *input.Problems {
	p := &input.Problems{File: name}
	for _, d := range st.Details() {
		bad, _ := d.(*errdetails.BadRequest)
		for _, v := range bad.GetFieldViolations() {
			m := registrationField.FindStringSubmatch(v.GetField())
			if m == nil {
				continue
			}
			if i, err := strconv.Atoi(m[1]); err == nil && i < len(batch) {
				p.Add(batch[i].line, m[2], "%s", v.GetDescription())
			}
		}
	}
	return p
}
